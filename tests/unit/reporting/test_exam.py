"""Exam results as the report tells them."""

from __future__ import annotations

import dataclasses
import json

import pytest

from metier.evaluation.gate import by_candidate, compare, decide, format_verdict
from metier.records import Grade, Question
from metier.reporting.exam import WHOLE, Tally, cell_of, decision_from, gains, retrieval_of, scoreboard, tally


def graded(candidate, scores, slice_="numeric", **more):
    return [
        Grade(question_id=f"{slice_}-{i}", candidate=candidate, slice=slice_, split="final", prompt="", reference="",
              answer="", correctness=s, completeness=s, format=s, score=s, **more)
        for i, s in enumerate(scores)
    ]  # fmt: skip


def sat(**scores):
    """An exam with a numeric and a usage slice of ten questions each: {candidate: (numeric, usage)}."""
    rows = [g for name, (numeric, _) in scores.items() for g in graded(name, [numeric] * 10)]
    rows += [g for name, (_, usage) in scores.items() for g in graded(name, [usage] * 10, "usage")]
    return by_candidate(rows)


SHEETS = sat(tuned=(0.9, 0.7), small=(0.9, 0.5), weak=(0.1, 0.1), strong=(0.4, 0.2))


def decided(sheets=SHEETS, formats=("small",)):
    against = [compare(sheets["tuned"], sheets[b], ("tuned", b)) for b in ("weak", "strong")]
    found = [format_verdict("w8a8", sheets[f], sheets["tuned"], keep_ratio=0.95, min_slice=10) for f in formats]
    return decide(against, found, tuned="tuned", require_improvement=True)


def test_a_decision_comes_back_from_its_file_whole():
    decision = decided()
    assert decision.formats[0].by_slice["usage"].ratio == pytest.approx(5 / 7)
    assert decision_from(json.loads(json.dumps(dataclasses.asdict(decision)))) == decision


def test_candidates_are_ordered_by_kind_and_the_gates_choice_is_marked():
    board = scoreboard(SHEETS, decided())
    assert [(c.name, c.kind) for c in board.candidates] == [
        ("strong", "prompted"), ("weak", "prompted"), ("tuned", "tuned"), ("small", "quantised"),
    ]  # fmt: skip
    assert board.shipped.name == "tuned"
    assert board.baseline.name == "strong"
    assert board.shipped.whole.mean == pytest.approx(0.8)
    assert board.shipped.cells["usage"].mean == pytest.approx(0.7)


def test_columns_are_the_slices_that_were_asked_in_the_exams_own_order():
    assert scoreboard(SHEETS, decided()).columns == (WHOLE, "numeric", "usage")
    turned = {name: dict(reversed(sheet.items())) for name, sheet in reversed(SHEETS.items())}
    assert scoreboard(turned, decided()) == scoreboard(SHEETS, decided())


def test_an_interval_lies_around_its_mean():
    cell = cell_of([0.0, 1.0] * 20)
    assert 0 < cell.low < cell.mean == 0.5 < cell.high < 1
    assert cell.questions == 40


def test_questions_are_tallied_one_by_one():
    (ours, theirs) = by_candidate([*graded("a", [1, 1, 0, 0.5, 0.7]), *graded("b", [0, 1, 1, 0.5, 0.6])]).values()
    assert tally(ours, theirs) == Tally(better=2, same=2, worse=1)


def test_a_question_that_only_one_of_them_answered_is_not_tallied():
    (ours, theirs) = by_candidate([*graded("a", [1, 1]), *graded("b", [0])]).values()
    assert tally(ours, theirs) == Tally(better=1, same=0, worse=0)
    assert tally(theirs, ours) == Tally(better=0, same=0, worse=1)


def test_the_smallest_gain_comes_first():
    found = gains(SHEETS, "tuned", ["weak", "strong", "absent"])
    assert [c.baseline for c in found] == ["strong", "weak"]
    assert found[0].difference == pytest.approx(0.5)


def question(number, **fields):
    fields = {"slice": "numeric", "task": "default", "split": "final", "reference": "", "points": ()} | fields
    return Question(prompt=str(number), **fields)


def answered(question, score, found):
    (grade,) = graded("tuned", [score], question.slice, passage_ids=("p",), gold_retrieved=found)
    return grade.derive(Grade, question_id=question.id)


def test_retrieval_is_judged_where_one_document_holds_the_answer():
    hit, missed, usage = question(1), question(2), question(3, slice="usage")
    others = [question(4, answerable=False), question(5, written_by="hand")]
    sheet = {q.id: answered(q, 1.0, q is not missed) for q in (hit, usage, *others)}
    sheet[missed.id] = answered(missed, 0.25, False)
    found = retrieval_of(sheet, [hit, missed, usage, *others])
    assert {name: (cell.mean, cell.questions) for name, cell in found.found.items()} == {
        WHOLE: (pytest.approx(2 / 3), 3), "numeric": (0.5, 2), "usage": (1.0, 1),
    }  # fmt: skip
    assert (found.score_found.mean, found.score_missed.mean) == (1.0, 0.25)


def test_where_no_passage_was_shown_nothing_is_said_of_retrieval():
    asked = question(1)
    sheet = {asked.id: answered(asked, 1.0, False).derive(Grade, passage_ids=())}
    assert retrieval_of(sheet, [asked]) is None
    assert retrieval_of({}, [asked]) is None


def test_a_search_that_missed_nothing_has_no_score_for_misses():
    asked = question(1)
    assert retrieval_of({asked.id: answered(asked, 1.0, True)}, [asked]).score_missed is None
