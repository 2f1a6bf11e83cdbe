"""Grades: strict about content, lenient about spelling."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.evaluation.graders import grade
from metier.records import Question
from metier.retrieval.prompt import ABSTENTION


def question(points=("5",), slice_="numeric", prompt="What is the default of `retries`?", reference="", **more):
    return Question(prompt=prompt, reference=reference or str(points[:1]), points=points, slice=slice_, task="t",
                    split="final", **more)  # fmt: skip


def score(answer, **more):
    return grade(question(**more), answer).score


@pytest.mark.parametrize("answer", ["5", "The default is `5`.", "5.0", "**5** retries [1]."])
def test_a_number_is_held_however_it_is_written(answer):
    assert score(answer) == pytest.approx(1.0)


@pytest.mark.parametrize("answer", ["50", "0.5", "1.5", "v5x", "", "six"])
def test_another_number_is_not(answer):
    assert score(answer) == 0


def test_thousands_and_exponents_are_one_number():
    assert score("1,048,576", points=("1048576",)) == pytest.approx(1.0)
    assert score("1e-3", points=("0.001",)) == pytest.approx(1.0)


def test_naming_many_numbers_is_not_knowing_one():
    assert grade(question(), "It is 3, 4, 5 or 6.").correctness == 0.5


def test_numbers_of_the_question_contradict_nothing():
    assert score("Beside 3 workers it is 5.", prompt="With 3 workers, what is the default?") == pytest.approx(1.0)


def test_alternatives_are_equal():
    both = {"points": ("None|null",), "slice_": "factual"}
    assert score("It is None.", **both) == score("null", **both) == pytest.approx(1.0)


def test_names_are_whole_names():
    name = {"points": ("ray.data.Dataset.map|Dataset.map",), "slice_": "usage"}
    assert score("Use `ray.data.Dataset.map`.", **name) == pytest.approx(1.0)
    assert score("Use `ray.data.Dataset.map_batches`.", **name) == 0


def test_descriptions_are_held_by_stem_and_in_part():
    words = {"points": ("create", "dataset", "dataframe"), "slice_": "factual"}
    assert score("It creates datasets from a DataFrame.", **words) == pytest.approx(1.0)
    part = grade(question(**words), "It creates datasets.")
    assert part.correctness == 1.0
    assert part.completeness == pytest.approx(2 / 3)
    assert grade(question(**words), "A dataset.").correctness < 0.5


def test_rambling_loses_the_format_mark():
    assert score("5 " + "indeed " * 100) == pytest.approx(0.9)


def test_an_unanswerable_question_wants_an_abstention():
    asked = question(points=(), slice_="unanswerable", answerable=False)
    assert grade(asked, ABSTENTION).score == 1.0
    assert grade(asked, "There is no such parameter.").score == 1.0
    assert grade(asked, "The default is 7.").score == 0
    assert grade(asked, "The documentation does not say, but the default is 7.").score == 0


def test_abstaining_earns_nothing_where_the_answer_is_there():
    assert score(ABSTENTION) == 0


def json_question():
    reference = json.dumps({"parameter": "retries", "default": None})
    return question(points=("retries", "None|null"), slice_="format", reference=reference, format="json",
                    json_keys=("parameter", "default"))  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"parameter": "retries", "default": null}', 1.0),
        ('{"parameter": "retries", "default": "None"}', 1.0),
        ('```json\n{"parameter": "retries", "default": null}\n```', 0.95),
        ('{"parameter": "retries", "default": 3}', 0.0),
        ("retries is None", 0.0),
        ('{"parameter": "retries"', 0.0),
        ("[1]", 0.0),
    ],
)
def test_json_is_parsed_and_compared_by_value(answer, expected):
    assert grade(json_question(), answer).score == pytest.approx(expected)


def test_an_extra_key_costs_format_not_correctness():
    found = grade(json_question(), '{"parameter": "retries", "default": null, "note": "x"}')
    assert (found.correctness, found.format) == (1.0, pytest.approx(2 / 3))


@given(st.text(max_size=300))
def test_every_answer_gets_scores_between_zero_and_one(answer):
    for asked in (question(), json_question(), question(points=(), slice_="unanswerable", answerable=False)):
        found = grade(asked, answer)
        assert all(0 <= x <= 1 for x in (found.correctness, found.completeness, found.format, found.score))


def test_a_version_a_day_or_part_of_a_name_holds_no_number():
    assert score("Since version 5.0.1 it is batch_5.") == 0


def test_guessing_among_literals_or_quoted_words_is_half_right():
    literal = {"points": ("None|null",), "slice_": "factual", "reference": "The default is None."}
    assert grade(question(**literal), "None.").correctness == 1.0
    assert grade(question(**literal), "None. If True, it waits.").correctness == 1.0
    assert grade(question(**literal), "None, True or False.").correctness == 0.5
    word = {"points": ("mean",), "slice_": "factual", "reference": "The default is 'mean'."}
    assert grade(question(**word), "It is 'mean'.").correctness == 1.0
    assert grade(question(**word), "'mean', 'sum' or 'max'").correctness == 0.5


def test_listing_names_is_not_knowing_the_one():
    name = {"points": ("lib.map_rows|map_rows",), "slice_": "usage", "reference": "That is lib.map_rows.",
            "prompt": "Which function of lib maps rows?"}  # fmt: skip
    assert grade(question(**name), "`lib.map_rows(fn, num_cpus=1)`, unlike `lib.filter`.").correctness == 1.0
    assert grade(question(**name), "`lib.filter`, `lib.map_rows` or `lib.sort`").correctness == 0.5


def test_listing_types_is_not_knowing_the_one():
    kind = Question(prompt="Which type has `x` in lib.f?", reference="`x` accepts str | None.", slice="factual",
                    points=("str|string", "None|null|optional"), task="type", split="final")  # fmt: skip
    assert grade(kind, "An optional string.").score == pytest.approx(1.0)
    assert grade(kind, "str").correctness == 0.5
    assert grade(kind, "int, float, str, bool or None").correctness == 0.5


def test_a_list_of_names_is_right_in_the_share_that_it_holds():
    listed = {"points": ("path", "mode", "fn", "seed"), "slice_": "usage", "reference": "f takes path, mode, fn, seed."}
    assert grade(question(**listed), "path, mode and fn").correctness == 0.75


def test_one_word_of_a_description_is_no_description():
    words = {"points": ("create", "dataset", "dataframe"), "slice_": "factual"}
    assert grade(question(**words), "A dataset.").score == 0
    two = {"points": ("create", "dataset"), "slice_": "factual"}
    assert grade(question(**two), "A dataset.").correctness == 0.5


def test_a_hedged_answer_is_half_right():
    assert grade(question(), "The documentation does not say, but it is 5.").correctness == 0.5


def test_marks_alone_are_held_only_in_quotes():
    star = {"points": ("*",), "slice_": "factual", "reference": "The default is '*'."}
    assert score("It is '*'.", **star) == pytest.approx(1.0)
    assert score("It is **bold**.", **star) == 0


def purpose_question():
    reference = json.dumps({"name": "lib.read", "purpose": "Create a dataset from a dataframe."})
    return Question(prompt="Describe lib.read as JSON", reference=reference, slice="format", task="json_purpose",
                    points=("create", "dataset", "dataframe"), split="final", format="json",
                    json_keys=("name", "purpose"))  # fmt: skip


def test_a_sentence_in_json_may_use_other_words():
    said = '{"name": "lib.read", "purpose": "It creates one dataset out of a dataframe"}'
    assert grade(purpose_question(), said).score == pytest.approx(1.0)
    part = grade(purpose_question(), '{"name": "lib.read", "purpose": "It creates datasets"}')
    assert (part.correctness, part.completeness) == (1.0, pytest.approx(5 / 6))
    assert grade(purpose_question(), '{"name": "lib.read", "purpose": "Reads."}').score == 0
    assert (
        grade(purpose_question(), '{"name": "lib.write", "purpose": "Creates a dataset from a dataframe"}').score == 0
    )


def test_a_list_in_json_is_right_in_any_order_and_only_whole():
    reference = json.dumps({"name": "f", "parameters": ["a", "b"]})
    asked = Question(prompt="?", reference=reference, slice="format", task="json_parameters", points=("a", "b"),
                     split="final", format="json", json_keys=("name", "parameters"))  # fmt: skip
    assert grade(asked, '{"name": "f", "parameters": ["b", "`a`"]}').score == pytest.approx(1.0)
    assert grade(asked, '{"name": "f", "parameters": ["a"]}').score == 0
    assert grade(asked, '{"name": "f", "parameters": ["a", "b", "c"]}').score == 0
    assert grade(asked, '{"name": "f", "parameters": "a, b"}').score == 0


@given(st.text(max_size=60))
def test_a_reference_is_always_right_and_a_refusal_never(noise):
    for asked in (question(reference="The default is 5."), json_question(), purpose_question()):
        assert grade(asked, asked.reference).score == pytest.approx(1.0)
        assert grade(asked, f"{ABSTENTION}").score == 0
        assert grade(asked, noise) == grade(asked, noise)


@given(st.sampled_from([" ", "\n", "**", "`", "The answer is ", "It is "]))
def test_marks_and_openings_change_no_grade(mark):
    assert grade(question(), f"{mark}5").correctness == grade(question(), "5").correctness
