"""What an answer says: numbers, values, names, refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.evaluation.reading import abstains, as_number, hedges, names, numbers, plain, type_names, values
from metier.retrieval.prompt import ABSTENTION

PROMPT = "What is the default of `retries` in lib.run?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 5.", [5]),
        ("3,4,5", [3, 4, 5]),
        ("1,048,576 bytes", [1048576]),
        ("between -1 and 1e-3", [-1, 0.001]),
        ("ray 2.60.0, v5, x_3, 16MiB, 2025-01-31", []),
        (plain("minus one is −1"), [-1]),
        ("1_000_000", [1e6]),
        (".5 and 5.", [0.5, 5]),
    ],
)
def test_numbers_are_whole_numbers(text, expected):
    assert numbers(text) == expected


@given(st.integers(-(10**9), 10**9))
def test_every_spelling_of_a_whole_number_is_that_number(number):
    spelled = [str(number), f"{number:,}", f"{number}.0", f"{number:_}"]
    assert {as_number(s) for s in spelled} == {float(number)}
    assert all(numbers(f"it is {s} today") == [number] for s in spelled)


@pytest.mark.parametrize("answer", [
    ABSTENTION,
    "I don't know.",
    "Sorry, the passages do not mention that parameter. Please check the API reference.",
    "It is not documented.",
    "No. The context doesn’t say what it is.",
    "There is no information on this.",
])  # fmt: skip
def test_a_refusal_is_recognised(answer):
    assert abstains(answer, PROMPT, absence=False)
    assert hedges(answer)


@pytest.mark.parametrize("answer", [
    "If it is not specified, the number of CPUs is used.",
    "The value that is not given is taken from the cluster.",
    "It does not contain duplicates, and it does not keep the order.",
    "Raises an error when the key is not documented.",
    "`retries` defaults to `None`.",
    "",
])  # fmt: skip
def test_an_answer_with_a_negation_is_no_refusal(answer):
    assert not abstains(answer, PROMPT, absence=False)
    assert not hedges(answer)


@pytest.mark.parametrize("answer", [
    "The documentation does not say, but it is 7.",
    "The documentation does not say. It defaults to None.",
    "It is not documented, however the value is 'mean' by default.",
    "I do not know 7.",
])  # fmt: skip
def test_who_declines_and_then_asserts_has_not_declined(answer):
    assert not abstains(answer, PROMPT, absence=True)


@pytest.mark.parametrize("answer", [
    "There is no such parameter.", "lib.run has no parameter `retries`.", "`retries` does not exist.",
    "That is not a parameter of lib.run.",
])  # fmt: skip
def test_saying_that_it_does_not_exist_counts_only_where_that_is_so(answer):
    assert abstains(answer, PROMPT, absence=True)
    assert not abstains(answer, PROMPT, absence=False)


def test_a_parameter_without_a_default_is_an_assertion():
    assert not abstains("It has no default value, so you must give it.", PROMPT, absence=True)


def test_conditions_assert_no_value():
    assert values("The default is None.") == {"none"}
    assert values("It is False. If None, all are used; when set to True it waits.") == {"false"}
    assert values("Either True or 'mean', since 2025-01-31.") == {"true", "mean", "2025-01-31"}


def test_names_leave_out_the_arguments_of_a_call():
    assert names("Use `map`, lib.Frame.map_rows(fn, num_cpus=1) or read_csv.") == {
        "map",
        "lib.frame.map_rows",
        "read_csv",
    }


def test_types_have_short_names():
    assert type_names("an integer or a string") == {"int", "str"}
    assert type_names("set it to the format") == set()
