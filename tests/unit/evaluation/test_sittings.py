from __future__ import annotations

import statistics

import pytest

from metier.evaluation.sittings import ENOUGH_QUESTIONS, Sitting, change


def sat(*scores, answers=None):
    return Sitting(tuple(map(float, scores)), tuple(answers or map(str, scores)))


def test_a_score_has_an_error_even_where_all_are_equal():
    assert sat(1, 0, 0, 1).score == 0.5
    assert sat(1, 0, 0, 1).error == pytest.approx(statistics.stdev([1, 0, 0, 1, 0, 1]) / 2)
    assert sat(1, 1, 1, 1).error > 0.1


def test_a_change_is_paired_and_counts_equal_answers():
    found = change(sat(1, 0, 0.5, answers="abc"), sat(1, 0, 0, answers="abd"))
    assert found.difference.mean == pytest.approx(-1 / 6)
    assert found.same_answers == pytest.approx(2 / 3)
    assert not found.worse


def test_what_changes_nothing_is_neither_worse_nor_better():
    found = change(sat(*[1, 0] * 16), sat(*[1, 0] * 16))
    assert (found.difference.low, found.difference.high, found.same_answers) == (0, 0, 1)
    assert not found.worse
    assert not found.better


def test_a_fall_of_many_questions_is_more_than_chance_and_of_few_is_not():
    before, after = [1] * 32, [0] * 12 + [1] * 20
    assert change(sat(*before), sat(*after)).worse
    assert change(sat(*after), sat(*before)).better
    assert not change(sat(*before), sat(*[0, *before[1:]])).worse
    few = ENOUGH_QUESTIONS - 1
    assert not change(sat(*[1] * few), sat(*[0] * few)).worse


def test_exams_of_different_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        change(sat(1, 0), sat(1))
