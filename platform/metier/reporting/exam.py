"""Exam results as the report tells them: scores by slice with intervals, who won which question, what retrieval found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from metier.evaluation.gate import Comparison, Decision, FormatVerdict, SliceVerdict, compare
from metier.evaluation.statistics import mean_interval
from metier.records import Grade, Question

WHOLE = "all"
SLICES = ("numeric", "factual", "usage", "format", "unanswerable")
Kind = Literal["prompted", "tuned", "quantised"]
Sheets = Mapping[str, Mapping[str, Grade]]
"""Grades by candidate, then by question (`metier.evaluation.gate.by_candidate`)."""


@dataclass(frozen=True)
class Cell:
    """A mean with its 95 % interval over so many questions."""

    mean: float
    low: float
    high: float
    questions: int


@dataclass(frozen=True)
class Candidate:
    """One way to answer the exam. `cells`: a cell for each slice, and `all`."""

    name: str
    kind: Kind
    ships: bool
    cells: Mapping[str, Cell]

    @property
    def whole(self) -> Cell:
        """Its score over all questions."""
        return self.cells[WHOLE]


@dataclass(frozen=True)
class Scoreboard:
    """Everyone who sat the exam: prompted models first, then the tuned, then the quantised ones."""

    slices: tuple[str, ...]
    candidates: tuple[Candidate, ...]

    @property
    def shipped(self) -> Candidate:
        """Whom the gate chose, whether or not it lets it pass."""
        return next(c for c in self.candidates if c.ships)

    @property
    def baseline(self) -> Candidate | None:
        """The best of the prompted models."""
        prompted = [c for c in self.candidates if c.kind == "prompted"]
        return max(prompted, key=lambda c: c.whole.mean, default=None)

    @property
    def columns(self) -> tuple[str, ...]:
        """All questions, then each slice."""
        return (WHOLE, *self.slices)


def decision_from(tree: Mapping[str, Any]) -> Decision:
    """The gate's decision, read back from gate.json."""
    comparisons = tuple(Comparison(**c) for c in tree["comparisons"])
    formats = tuple(_format_from(f) for f in tree["formats"])
    return Decision(**{**tree, "comparisons": comparisons, "formats": formats})


def _format_from(tree: Mapping[str, Any]) -> FormatVerdict:
    by_slice = {name: SliceVerdict(**one) for name, one in tree["by_slice"].items()}
    return FormatVerdict(**{**tree, "by_slice": by_slice})


def cell_of(scores: Sequence[float]) -> Cell:
    """Mean and interval of one score a question."""
    found = mean_interval(scores)
    return Cell(found.mean, found.low, found.high, len(scores))


def scoreboard(sheets: Sheets, decision: Decision) -> Scoreboard:
    """The scores of all candidates, those of one kind in the order of their names."""
    baselines, small = {c.baseline for c in decision.comparisons}, {f.candidate for f in decision.formats}
    order: dict[Kind, int] = {"prompted": 0, "tuned": 1, "quantised": 2}
    present = {g.slice for sheet in sheets.values() for g in sheet.values()}
    candidates = []
    for name, sheet in sheets.items():
        kind: Kind = "prompted" if name in baselines else "quantised" if name in small else "tuned"
        candidates.append(Candidate(name, kind, name == decision.ships["candidate"], _cells(list(sheet.values()))))
    slices = tuple(s for s in SLICES if s in present)
    return Scoreboard(slices, tuple(sorted(candidates, key=lambda c: (order[c.kind], c.name))))


def _cells(grades: Sequence[Grade]) -> dict[str, Cell]:
    scores: dict[str, list[float]] = {WHOLE: []}
    for grade in sorted(grades, key=lambda g: g.question_id):
        scores[WHOLE].append(grade.score)
        scores.setdefault(grade.slice, []).append(grade.score)
    return {name: cell_of(values) for name, values in scores.items()}


@dataclass(frozen=True)
class Tally:
    """How many questions the first of two candidates answered better, as well, worse than the other."""

    better: int
    same: int
    worse: int


def tally(a: Mapping[str, Grade], b: Mapping[str, Grade]) -> Tally:
    """Question by question, on those that both answered."""
    differences = [a[q].score - b[q].score for q in sorted(set(a) & set(b))]
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    return Tally(better, len(differences) - better - worse, worse)


@dataclass(frozen=True)
class Retrieval:
    """How often the document that holds the answer was among the retrieved, and what the score was when (not)."""

    found: Mapping[str, Cell]  # by slice, and `all`
    score_found: Cell | None
    score_missed: Cell | None


def has_document(question: Question) -> bool:
    """Whether one known document holds the answer: it is answerable and was derived from a document."""
    return question.answerable and question.written_by == "derived"


def retrieval_of(sheet: Mapping[str, Grade], questions: Iterable[Question]) -> Retrieval | None:
    """Over questions whose answer one known document holds; None where none was asked with passages."""
    asked = {q.id for q in questions if has_document(q)}
    grades = [g for _, g in sorted(sheet.items()) if g.question_id in asked and g.passage_ids]
    if not grades:
        return None
    hits: dict[str, list[float]] = {WHOLE: []}
    for grade in grades:
        for name in (WHOLE, grade.slice):
            hits.setdefault(name, []).append(float(grade.gold_retrieved))
    found = [g.score for g in grades if g.gold_retrieved]
    missed = [g.score for g in grades if not g.gold_retrieved]
    return Retrieval(
        {name: cell_of(hits[name]) for name in (WHOLE, *SLICES) if name in hits},
        cell_of(found) if found else None,
        cell_of(missed) if missed else None,
    )


def gains(sheets: Sheets, shipped: str, baselines: Iterable[str]) -> tuple[Comparison, ...]:
    """What is to ship against each baseline, question by question, greatest gain last."""
    found = [compare(sheets[shipped], sheets[name], (shipped, name)) for name in baselines if name in sheets]
    return tuple(sorted(found, key=lambda c: (c.difference, c.baseline)))
