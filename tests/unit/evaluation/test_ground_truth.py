"""Points: what a complete answer holds, in all the ways in which it may be written."""

from __future__ import annotations

import pytest

from metier.evaluation.ground_truth import (
    default_spellings,
    is_number,
    literal,
    number_spellings,
    salient_points,
    type_points,
)
from metier.evaluation.vocabulary import vocabulary_of
from metier.records import Document


@pytest.mark.parametrize(
    ("text", "spellings"),
    [
        ("1048576", "1048576|1,048,576"),
        ("1,048,576", "1048576|1,048,576"),
        ("1_000", "1000|1,000|1_000"),
        ("300.0", "300.0|300"),
        ("0.01", "0.01"),
        ("-5", "-5"),
        ("1e20", "1e20"),
    ],
)
def test_a_number_has_its_spellings(text, spellings):
    assert number_spellings(text) == spellings


@pytest.mark.parametrize(("text", "answer"), [("5", True), ("-0.5", True), ("1,000", True), ("2.", True), ("1e9", True),
                                              ("inf", False), ("nan", False), ("five", False), ("5s", False)])  # fmt: skip
def test_only_what_is_written_in_digits_is_a_number(text, answer):
    assert is_number(text) is answer


@pytest.mark.parametrize(
    ("default", "spellings"),
    [
        ("128", "128"),
        ("None", "None|null"),
        ("'spread'", "spread"),
        ("True", "True"),
        ("Mode.FAST", "Mode.FAST|FAST"),
        ("(1, 2)", "(1, 2)"),
        ("''", ""),  # an empty answer would hold it
        ("'a|b'", ""),  # the notation has a use for the bar
        ("int | str", ""),
        ("lambda: " + "x" * 40, ""),  # nobody could be asked to repeat it
    ],
)
def test_a_default_has_its_spellings_or_is_not_asked_for(default, spellings):
    assert default_spellings(default) == spellings


def test_a_literal_is_its_value_and_anything_else_its_text():
    assert literal("1.5") == 1.5
    assert literal("['a']") == ["a"]
    assert literal("Mode.FAST") == "Mode.FAST"
    assert literal("f(") == "f("


@pytest.mark.parametrize(
    ("annotation", "points"),
    [
        ("int", ("int|integer",)),
        ("str | None", ("str|string", "None|null|optional")),
        ("list[int]", ("list[int]|list|list of int",)),
        ("Dict[str, int]", ("Dict[str, int]|dict|dictionary",)),
        ("ray.data.Dataset", ("ray.data.Dataset",)),
        ("int | str | bytes | None", ()),
        ("Callable[[int], str]", ()),
        ("Literal['a', 'b']", ()),
    ],
)
def test_the_members_of_a_type_are_points(annotation, points):
    assert type_points(annotation) == points


def vocabulary(*statements: str):
    return vocabulary_of(
        Document(uri=str(i), title=f"Page {i}", text=f"# Page {i}\n\n{s}\n") for i, s in enumerate(statements)
    )


def test_the_rarest_words_of_a_sentence_are_its_points_in_its_own_order():
    corpus = vocabulary(
        "A worker reads common blocks.", "A worker writes common blocks.", "A worker shuffles common blocks."
    )
    points = salient_points("Common workers shuffle blocks between barrels.", corpus, (), most=2)
    assert points == ("shuffle|shuffl", "barrels|barrel")


def test_words_of_the_name_are_no_points():
    assert salient_points("Shuffle barrels.", vocabulary(), {"shuffl"}) == ("barrels|barrel",)
