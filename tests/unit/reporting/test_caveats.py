"""What whoever decides is told beside the score."""

from __future__ import annotations

import dataclasses

import pytest

from metier.reporting.caveats import LEVELS, Caveat, caveats
from metier.reporting.exam import Cell


def about(story, *words):
    """The caveats that hold all these words."""
    return [c for c in caveats(story) if all(word in c.text for word in words)]


def material(story, **fields):
    return dataclasses.replace(story, material=dataclasses.replace(story.material, **fields))


def scored(story, candidate, **means):
    """The same story with other scores of one candidate, on the questions that were asked."""
    seats = []
    for one in story.board.candidates:
        if one.name == candidate:
            cells = {s: Cell(m, m - 0.05, m + 0.05, one.cells[s].questions) for s, m in means.items()}
            one = dataclasses.replace(one, cells=one.cells | cells)
        seats.append(one)
    return dataclasses.replace(story, board=dataclasses.replace(story.board, candidates=tuple(seats)))


def test_the_gravest_stands_first(lost):
    levels = [LEVELS.index(c.level) for c in caveats(lost)]
    assert levels == sorted(levels)
    assert caveats(lost)[0].level == "stop"


def test_a_refusal_stops_and_says_why(won, lost):
    assert about(lost, "gate refuses", "does not surely beat")[0].level == "stop"
    assert "stop" not in {c.level for c in caveats(won)}


def test_a_gain_that_may_be_zero_is_said_where_the_gate_let_it_pass(won):
    gains = tuple(dataclasses.replace(g, low=-0.01) for g in won.gains)
    assert about(dataclasses.replace(won, gains=gains), "gain over base+retrieval may be zero")
    assert not about(won, "may be zero")


@pytest.mark.parametrize(("mean", "level"), [(0.49, "warning"), (0.5, "note")])
def test_the_weakest_slice_is_named(won, mean, level):
    found = about(scored(won, "tuned+retrieval", usage=mean, format=0.9), "weakest slice is usage")
    assert [c.level for c in found] == [level]


def test_a_slice_that_got_worse_is_named(won):
    worse = scored(won, "base+retrieval", numeric=0.95)
    assert about(worse, "numeric the best baseline is better", "0.95 against")
    assert not about(won, "best baseline is better")


@pytest.mark.parametrize(("mean", "level"), [(0.95, "good"), (0.82, "note"), (0.6, "warning")])
def test_answers_invented_where_there_is_none_are_weighed(won, mean, level):
    found = about(scored(won, "tuned+retrieval", unanswerable=mean), "no answer (22 questions)")
    assert [c.level for c in found] == [level]


def test_an_exam_that_never_asked_the_unanswerable_is_called_out(won):
    seats = tuple(
        dataclasses.replace(c, cells={s: cell for s, cell in c.cells.items() if s != "unanswerable"})
        for c in won.board.candidates
    )
    slices = tuple(s for s in won.board.slices if s != "unanswerable")
    board = dataclasses.replace(won.board, candidates=seats, slices=slices)
    assert about(dataclasses.replace(won, board=board), "nobody knows whether it invents")[0].level == "warning"


@pytest.mark.parametrize(
    ("said", "grave", "level"), [("Refuses too often: 60%", True, "warning"), ("No overfitting seen", False, "note")]
)
def test_the_guards_words_are_passed_on(won, said, grave, level):
    course = dataclasses.replace(won.material.course, verdict=said, grave=grave)
    assert caveats(material(won, course=course)).count(Caveat(level, f"Training: {said}")) == 1


@pytest.mark.parametrize(("unreviewed", "level"), [(2186, "warning"), (2166, "note")])
def test_pairs_that_no_expert_saw_are_counted(won, unreviewed, level):
    story = material(won, review=won.material.review | {"unreviewed": unreviewed})
    assert [c.level for c in about(story, f"{unreviewed:,} of 2,186", "no expert")] == [level]


def test_nothing_is_said_of_a_review_that_saw_all_or_was_not_held(won):
    assert not about(material(won, review=won.material.review | {"unreviewed": 0}), "expert")
    assert not about(material(won, review={}), "expert")


@pytest.mark.parametrize(("mean", "level"), [(0.83, "good"), (0.79, "warning")])
def test_a_search_that_misses_much_is_a_warning(won, mean, level):
    found = won.retrieval.found | {"all": Cell(mean, mean, mean, 93)}
    story = dataclasses.replace(won, retrieval=dataclasses.replace(won.retrieval, found=found))
    assert [c.level for c in about(story, f"{mean:.0%} of 93")] == [level]
    assert not about(dataclasses.replace(won, retrieval=None), "Retrieval")


def test_formats_that_do_not_ship_are_told_apart(won):
    assert about(won, "w4a16 was not examined", "AVX-512")
    assert about(won, "w8a8 does not ship", "kept too little")
    decision = won.material.decision
    passed = tuple(dataclasses.replace(f, executable=True, passed=True) for f in decision.formats)
    assert not about(material(won, decision=dataclasses.replace(decision, formats=passed)), "w8a8")


def test_a_small_exam_and_small_slices_are_told(won):
    assert about(won, "139 questions")
    assert not about(won, "Too few questions")
    assert about(material(won, min_slice=25), "Too few questions", "numeric, unanswerable")
    large = {"all": Cell(0.7, 0.6, 0.8, 200)}
    seats = tuple(dataclasses.replace(c, cells=c.cells | large) for c in won.board.candidates)
    board = dataclasses.replace(won.board, candidates=seats)
    assert not about(dataclasses.replace(won, board=board), "200 questions")


def test_a_merge_that_costs_more_than_chance_explains_is_a_warning(won):
    assert not about(won, "Merging")
    worse = dataclasses.replace(won.material.merging, worse=True, text="Merging costs 0.38.")
    assert about(material(won, merging=worse), "Merging costs 0.38")[0].level == "warning"
