"""Whether a model may ship, and which of its formats: pure decisions over grades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from metier.errors import InputError
from metier.evaluation.statistics import paired_bootstrap
from metier.records import Grade


@dataclass(frozen=True)
class Comparison:
    """The tuned candidate against one baseline: mean difference of scores with its 95 % interval."""

    candidate: str
    baseline: str
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class SliceVerdict:
    """One slice of the exam, quantised against unquantised; `decides` is False where it has too few questions."""

    questions: int
    ratio: float
    difference: float
    low: float
    high: float
    decides: bool


@dataclass(frozen=True)
class FormatVerdict:
    """A quantised format against the unquantised model. Ratios are mean scores divided.

    `slices` holds the ratios of the slices that decide, `by_slice` the whole story of all of them.
    """

    format: str
    candidate: str
    executable: bool
    passed: bool
    why: str
    bytes: int = 0
    overall_ratio: float = 0.0
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0
    slices: Mapping[str, float] = field(default_factory=dict)
    by_slice: Mapping[str, SliceVerdict] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """`passed`: the model may ship. `ships`: which format ("none" is the merged, unquantised model), and why."""

    passed: bool
    why: str
    ships: Mapping[str, str]
    comparisons: tuple[Comparison, ...]
    formats: tuple[FormatVerdict, ...]


def by_candidate(grades: Sequence[Grade]) -> dict[str, dict[str, Grade]]:
    """Grades by candidate, then by question."""
    found: dict[str, dict[str, Grade]] = {}
    for one in grades:
        found.setdefault(one.candidate, {})[one.question_id] = one
    return found


def paired_scores(a: Mapping[str, Grade], b: Mapping[str, Grade]) -> tuple[list[float], list[float]]:
    """The scores of two candidates, question by question. Raises InputError when they sat different exams."""
    if set(a) != set(b) or not a:
        apart = len(set(a) ^ set(b))
        names = " and ".join(next(iter(g.values())).candidate if g else "nobody" for g in (a, b))
        raise InputError(f"gate: {names} sat different exams ({apart} questions are in one only): examine both alike")
    return [a[q].score for q in sorted(a)], [b[q].score for q in sorted(a)]


def compare(a: Mapping[str, Grade], b: Mapping[str, Grade], names: tuple[str, str]) -> Comparison:
    """Candidate `a` against baseline `b`."""
    interval = paired_bootstrap(*paired_scores(a, b))
    return Comparison(names[0], names[1], interval.mean, interval.low, interval.high)


def _ratio(small: Sequence[float], whole: Sequence[float]) -> float:
    return sum(small) / sum(whole) if sum(whole) else 1.0


def format_verdict(
    name: str,
    small: Mapping[str, Grade],
    whole: Mapping[str, Grade],
    *,
    keep_ratio: float,
    min_slice: int,
    bytes_: int = 0,
) -> FormatVerdict:
    """Whether a quantised model kept `keep_ratio` of the unquantised score: overall, and in each slice of at least
    `min_slice` questions. Raises InputError when the two sat different exams."""
    scores, full = paired_scores(small, whole)
    interval = paired_bootstrap(scores, full)
    by_slice = _by_slice(small, whole, min_slice)
    slices = {slice_: one.ratio for slice_, one in by_slice.items() if one.decides}
    overall = _ratio(scores, full)
    lost = [f"{slice_} {ratio:.1%}" for slice_, ratio in slices.items() if ratio < keep_ratio]
    if overall < keep_ratio:
        lost.insert(0, f"overall {overall:.1%}")
    return FormatVerdict(
        format=name,
        candidate=next(iter(small.values())).candidate,
        executable=True,
        passed=not lost,
        why=f"kept {overall:.1%} overall"
        if not lost
        else f"kept too little: {', '.join(lost)} (wanted {keep_ratio:.0%})",
        bytes=bytes_,
        overall_ratio=overall,
        difference=interval.mean,
        low=interval.low,
        high=interval.high,
        slices=slices,
        by_slice=by_slice,
    )


def _by_slice(small: Mapping[str, Grade], whole: Mapping[str, Grade], min_slice: int) -> dict[str, SliceVerdict]:
    found: dict[str, SliceVerdict] = {}
    for name in sorted({g.slice for g in whole.values()}):
        part = [q for q in sorted(whole) if whole[q].slice == name]
        scores, full = [small[q].score for q in part], [whole[q].score for q in part]
        difference = paired_bootstrap(scores, full)
        found[name] = SliceVerdict(
            questions=len(part),
            ratio=_ratio(scores, full),
            difference=difference.mean,
            low=difference.low,
            high=difference.high,
            decides=len(part) >= min_slice,
        )
    return found


def decide(
    comparisons: Sequence[Comparison], formats: Sequence[FormatVerdict], *, tuned: str, require_improvement: bool
) -> Decision:
    """The smallest format that passed ships, else the unquantised model; nothing, where the tuned one is not better."""
    worst = min(comparisons, key=lambda c: c.low, default=None)
    passed, why = True, "no baseline was examined"
    if worst is not None:
        better = worst.low > 0
        passed = better or not require_improvement
        why = (
            f"{tuned} beats {worst.baseline} by {worst.difference:+.3f} (95 % interval {worst.low:+.3f} to {worst.high:+.3f})"
            if better
            else f"{tuned} does not surely beat {worst.baseline}: {worst.difference:+.3f} "
            f"(95 % interval {worst.low:+.3f} to {worst.high:+.3f})"
        )
    fit = sorted((f for f in formats if f.executable and f.passed), key=lambda f: (f.bytes, f.format))
    if fit:
        ships = {
            "format": fit[0].format,
            "candidate": fit[0].candidate,
            "why": f"the smallest that passed: {fit[0].why}",
        }
    else:
        refused = "; ".join(f"{f.format}: {f.why}" for f in formats) or "no quantised format was tried"
        ships = {"format": "none", "candidate": tuned, "why": refused}
    return Decision(passed, why, ships, tuple(comparisons), tuple(formats))
