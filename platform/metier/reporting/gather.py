"""Gathers what an experiment left behind into one `Story`, which the page only has to lay out.

The stage opens artifacts and hands plain values over; nothing here knows a file. Tables are streamed and counted, so
their length does not matter.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metier.evaluation.gate import Comparison, Decision, by_candidate
from metier.records import Dialogue, Document, Grade, Question
from metier.reporting.exam import Retrieval, Scoreboard, Tally, gains, retrieval_of, scoreboard, tally
from metier.reporting.examples import Group, Rejected, groups
from metier.reporting.tuning import Tuning
from metier.training.course import Point

PAIR_STAGES = (
    "synthesise",
    "import_dialogues",
    "anonymise_dialogues",
    "deduplicate",
    "filter",
    "review",
    "decontaminate",
    "blend",
    "train",
)
DOCUMENT_STAGES = (
    "ingest",
    "screen",
    "anonymise",
    "supersede",
    "deduplicate_documents",
    "split",
    "chunk",
    "questions",
)


@dataclass(frozen=True)
class StepFacts:
    """What a step's manifest and its newest receipt say. `seconds` is None where no receipt is left."""

    step: str
    stage: str
    revision: int
    key: str
    content: str
    size: int  # bytes
    read: int
    kept: int
    rejected: Mapping[str, int]
    seconds: float | None = None
    started: str = ""
    machine: str = ""
    git: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Corpus:
    """The documents: how many, how many words, from where, and how they were split."""

    documents: int
    words: int
    origins: Mapping[str, int]
    splits: Mapping[str, int]


@dataclass(frozen=True)
class MakeUp:
    """The training set: rows by task and framing, by source; how many an expert saw; rows held out."""

    tasks: Mapping[str, Mapping[str, int]]  # task -> framing -> rows
    sources: Mapping[str, int]
    reviewed: int
    rows: int
    validation: int


@dataclass(frozen=True)
class Course:
    """The course of training: [step, loss] of every step, the checkpoints, and the guard's words."""

    losses: Sequence[Sequence[float]]
    points: Sequence[Point]
    best_step: int
    verdict: str
    stopped_early: bool
    trainable: int
    total: int
    grave: bool = False  # whether the guard saw something that whoever decides must know
    reference_words: float | None = None  # mean length of the dev exam's reference answers
    unanswerable_share: float | None = None  # of the dev exam's questions


@dataclass(frozen=True)
class Form:
    """A form of the trained model in the exam of the merge; `difference` is what the merged model has more, with its interval."""

    name: str
    score: float
    error: float
    difference: float
    low: float
    high: float
    same_answers: float  # share of answers that the merged model gives too
    merged: bool


@dataclass(frozen=True)
class Merging:
    """What merging cost, in words, and the forms that sat its exam; none where it was not examined."""

    text: str
    worse: bool  # by more than chance explains
    questions: int
    forms: Sequence[Form]


@dataclass(frozen=True)
class Format:
    """A quantised format as the quantise stage left it. Sizes in bytes of weights."""

    name: str
    executable: bool
    why: str
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class Served:
    """A question that the served release was asked over HTTP."""

    question: str
    answer: str
    citations: int


@dataclass(frozen=True)
class Material:
    """Everything that the report is made of."""

    title: str
    audience: str
    base: str
    price_per_hour_usd: float
    example_count: int
    seed: int
    keep_ratio: float
    min_slice: int
    corpus: Corpus
    makeup: MakeUp
    steps: Sequence[StepFacts]
    questions: Sequence[Question]
    grades: Sequence[Grade]
    decision: Decision
    course: Course
    formats: Sequence[Format]
    rejected: Sequence[Rejected]
    review: Mapping[str, int]  # review.json; empty where nothing was reviewed
    served: Sequence[Served]
    merging: Merging | None = None
    tuning: Tuning | None = None  # None where no settings were searched


@dataclass(frozen=True)
class Story:
    """The material with what follows from it."""

    material: Material
    board: Scoreboard
    gains: tuple[Comparison, ...]
    tally: Tally | None
    retrieval: Retrieval | None
    groups: tuple[Group, ...]
    pairs: tuple[StepFacts, ...]  # the funnel of training pairs
    documents: tuple[StepFacts, ...]  # the steps before it

    @property
    def gain(self) -> Comparison | None:
        """What is to ship against the best baseline."""
        best = self.board.baseline
        return next((c for c in self.gains if best and c.baseline == best.name), None)

    @property
    def seconds(self) -> float:
        """Wall time of all steps that left a receipt."""
        return sum(s.seconds or 0.0 for s in self.material.steps)

    @property
    def asked(self) -> int:
        """Questions of the final exam."""
        return self.board.shipped.whole.questions

    @property
    def newest(self) -> StepFacts | None:
        """The step that ran last, for the versions it ran with."""
        return max((s for s in self.material.steps if s.started), key=lambda s: s.started, default=None)

    def format_of(self, name: str) -> Format | None:
        """A quantised format by name."""
        return next((f for f in self.material.formats if f.name == name), None)


def corpus_of(documents: Iterable[Document]) -> Corpus:
    """Counts documents by where they are from and by split."""
    words = total = 0
    origins: collections.Counter[str] = collections.Counter()
    splits: collections.Counter[str] = collections.Counter()
    for one in documents:
        total += 1
        words += len(one.text.split())
        package = one.uri.split(".")[0]
        origins["files" if one.api is None else f"public objects of {package} {one.version}".rstrip()] += 1
        splits[one.split or "none"] += 1
    return Corpus(total, words, dict(origins.most_common()), dict(splits))


def makeup_of(training: Iterable[Dialogue], validation: int) -> MakeUp:
    """Counts the training set by task, framing and source."""
    tasks: dict[str, collections.Counter[str]] = {}
    sources: collections.Counter[str] = collections.Counter()
    rows = reviewed = 0
    for one in training:
        rows += 1
        reviewed += bool(one.reviewed)
        tasks.setdefault(one.task, collections.Counter())[one.framing] += 1
        sources[one.source] += 1
    ordered = dict(sorted(tasks.items(), key=lambda t: (-t[1].total(), t[0])))
    return MakeUp(ordered, dict(sources.most_common()), reviewed, rows, validation)


def course_of(history: Mapping[str, Any], verdict: Mapping[str, Any]) -> Course:
    """The course of training from history.json and verdict.json."""
    return Course(
        losses=history["losses"],
        points=[Point(**p) for p in history["points"]],
        best_step=verdict["best_step"],
        verdict=verdict["text"],
        stopped_early=verdict["stopped_early"],
        trainable=verdict["trainable"],
        total=verdict["total"],
        grave=any(finding["grave"] for finding in verdict["findings"]),
        reference_words=verdict["reference_words"],
        unanswerable_share=verdict["unanswerable_share"],
    )


def merging_of(told: Mapping[str, Any]) -> Merging | None:
    """What merge.json tells; None where it tells nothing."""
    if "text" not in told:
        return None
    rows = told["exam"]
    forms = [
        Form(
            name=row["name"],
            score=row["score"],
            error=row["error"],
            difference=row["difference"],
            low=row["low"],
            high=row["high"],
            same_answers=row["same_answers"],
            merged=row["form"] == "merged",
        )
        for row in rows
    ]
    return Merging(told["text"], told["worse"], rows[0]["questions"] if rows else 0, forms)


def _of_stages(steps: Sequence[StepFacts], stages: Sequence[str]) -> tuple[StepFacts, ...]:
    return tuple(sorted((s for s in steps if s.stage in stages), key=lambda s: stages.index(s.stage)))


def story_of(material: Material) -> Story:
    """All that the page shows. Raises ValueError when the candidate that the gate chose sat no exam."""
    sheets = by_candidate(material.grades)
    board = scoreboard(sheets, material.decision)
    if not any(c.ships for c in board.candidates):
        raise ValueError(f"no grades of {material.decision.ships['candidate']}, which the gate chose")
    ours = sheets[board.shipped.name]
    prompted = [c.name for c in board.candidates if c.kind == "prompted"]
    return Story(
        material=material,
        board=board,
        gains=gains(sheets, board.shipped.name, prompted),
        tally=tally(ours, sheets[board.baseline.name]) if board.baseline else None,
        retrieval=retrieval_of(ours, material.questions),
        groups=groups(sheets, board, material.questions, material.example_count, material.seed),
        pairs=_of_stages(material.steps, PAIR_STAGES),
        documents=_of_stages(material.steps, DOCUMENT_STAGES),
    )
