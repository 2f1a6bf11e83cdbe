"""The gate: what ships, and why not."""

from __future__ import annotations

from metier.evaluation.gate import FormatVerdict, by_candidate, compare, decide, format_verdict
from metier.records import Grade


def graded(candidate, scores, slice_="numeric"):
    rows = [
        Grade(question_id=f"{slice_}-{i}", candidate=candidate, slice=slice_, split="final", prompt="", reference="",
              answer="", correctness=s, completeness=s, format=s, score=s)
        for i, s in enumerate(scores)
    ]  # fmt: skip
    return by_candidate(rows)[candidate]


def better(low):
    return [compare(graded("t", [1.0] * 40), graded("b", [1.0 - low] * 40), ("t", "b"))]


def verdict(small, whole, **more):
    return format_verdict("w8a8", small, whole, keep_ratio=0.95, min_slice=10, **more)


def test_a_format_that_kept_enough_ships():
    whole, small = graded("t", [0.8] * 40), graded("q", [0.79] * 40)
    decision = decide(better(0.5), [verdict(small, whole)], tuned="t", require_improvement=True)
    assert decision.passed
    assert decision.ships["format"] == "w8a8"


def test_a_loss_in_one_slice_is_enough_to_refuse_a_format():
    whole = graded("t", [0.8] * 90) | graded("t", [0.8] * 10, "format")
    small = graded("q", [0.8] * 90) | graded("q", [0.7] * 10, "format")
    found = verdict(small, whole)
    assert found.overall_ratio > 0.95
    assert not found.passed
    assert "format 87.5%" in found.why
    decision = decide(better(0.5), [found], tuned="t", require_improvement=True)
    assert decision.ships["format"] == "none"
    assert "format 87.5%" in decision.ships["why"]


def test_a_slice_too_small_to_tell_decides_nothing():
    whole = graded("t", [0.8] * 90) | graded("t", [0.8] * 3, "format")
    small = graded("q", [0.8] * 90) | graded("q", [0.1] * 3, "format")
    assert verdict(small, whole).passed


def test_the_smallest_that_passed_ships():
    whole, small = graded("t", [0.8] * 40), graded("q", [0.8] * 40)
    formats = [verdict(small, whole, bytes_=9), FormatVerdict("w4a16", "", False, False, "no kernel", 1)]
    decision = decide(better(0.5), formats, tuned="t", require_improvement=True)
    assert decision.ships["format"] == "w8a8"


def test_a_gain_that_may_be_zero_is_refused():
    scores = [0.0, 1.0] * 20
    unsure = [compare(graded("t", scores), graded("b", scores[::-1]), ("t", "b"))]
    decision = decide(unsure, [], tuned="t", require_improvement=True)
    assert not decision.passed
    assert "does not surely beat b" in decision.why
    assert decide(unsure, [], tuned="t", require_improvement=False).passed


def test_the_baseline_that_is_hardest_to_beat_decides():
    easy = compare(graded("t", [1.0] * 40), graded("a", [0.0] * 40), ("t", "a"))
    hard = compare(graded("t", [1.0] * 40), graded("b", [0.9] * 40), ("t", "b"))
    assert "beats b" in decide([easy, hard], [], tuned="t", require_improvement=True).why
