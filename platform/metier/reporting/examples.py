"""Which answers and which rejected rows the report shows. The choice is seeded, and its rule is printed beside it."""

from __future__ import annotations

import collections
import heapq
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from metier.records import Grade, Question, Rejection, record_id
from metier.reporting.exam import Scoreboard, Sheets, has_document

Mark = Literal["pass", "part", "fail"]
PASS_SCORE = 0.9  # right and complete; a flaw of form alone costs 0.1
LONGEST = 1200  # characters of a text that the page shows
RAW = frozenset({"ingest", "import_dialogues"})  # their rows are as raw as the sources: only names are shown


@dataclass(frozen=True)
class Answer:
    """What a candidate said, and how it was graded. `missed`: it read passages, and the right document was not there."""

    candidate: str
    text: str
    score: float
    correctness: float
    completeness: float
    form: float
    missed: bool

    @property
    def mark(self) -> Mark:
        """`pass` for right and complete, `fail` for a score of zero, `part` between."""
        return "pass" if self.score >= PASS_SCORE else "part" if self.score > 0 else "fail"


@dataclass(frozen=True)
class Example:
    """A question with what it wants, the two answers that are compared, and those of everyone else."""

    question: str
    reference: str
    slice: str
    written_by: str
    compared: tuple[Answer, ...]
    others: tuple[Answer, ...]


@dataclass(frozen=True)
class Group:
    """Examples of one kind out of `total` such questions."""

    title: str
    rule: str
    total: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class RejectedRow:
    """A rejected row in short: its question and answer where it is a dialogue, else its beginning."""

    head: str
    body: str
    evidence: str


@dataclass(frozen=True)
class Rejected:
    """All `total` rows that a stage rejected for one reason, and some of them."""

    stage: str
    reason: str
    total: int
    rows: tuple[RejectedRow, ...]


def shortened(text: str) -> str:
    """At most `LONGEST` characters."""
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " […]"


def groups(
    sheets: Sheets, board: Scoreboard, questions: Sequence[Question], number: int, seed: int
) -> tuple[Group, ...]:
    """Wins, losses and ties of the candidate that ships against the best baseline, `number` drawn from each."""
    if board.baseline is None:
        return ()
    ours, theirs = board.shipped.name, board.baseline.name
    asked = {q.id: q for q in questions}
    shared = sorted(set(sheets[ours]) & set(sheets[theirs]), key=lambda q: record_id("example", [seed, q]))
    gain = {q: sheets[ours][q].score - sheets[theirs][q].score for q in shared}
    kinds = (
        ("Wins", f"{ours} scored higher than {theirs}", [q for q in shared if gain[q] > 0]),
        ("Losses", f"{ours} scored lower than {theirs}", [q for q in shared if gain[q] < 0]),
        ("No difference", "both scored the same, right or wrong", [q for q in shared if gain[q] == 0]),
    )
    return tuple(
        Group(title, rule, len(found), tuple(_example(q, sheets, board, asked, (ours, theirs)) for q in found[:number]))
        for title, rule, found in kinds
    )


def _example(
    question: str, sheets: Sheets, board: Scoreboard, asked: Mapping[str, Question], compared: tuple[str, str]
) -> Example:
    grade, known = sheets[compared[0]][question], asked.get(question)
    others = [c.name for c in board.candidates if c.name not in compared and question in sheets[c.name]]
    written_by = known.written_by if known else "derived"

    def answers(names: Iterable[str]) -> tuple[Answer, ...]:
        return tuple(_answer(sheets[name][question], known) for name in names)

    return Example(
        shortened(grade.prompt), shortened(grade.reference), grade.slice, written_by, answers(compared), answers(others)
    )


def _answer(grade: Grade, asked: Question | None) -> Answer:
    missed = bool(asked and has_document(asked) and grade.passage_ids and not grade.gold_retrieved)
    return Answer(
        grade.candidate,
        shortened(grade.answer),
        grade.score,
        grade.correctness,
        grade.completeness,
        grade.format,
        missed,
    )


def rejected_rows(rejections: Iterable[Rejection], number: int, seed: int) -> tuple[Rejected, ...]:
    """At most `number` rows for each stage and reason, drawn by a seeded digest; reads a stream of any length.

    Stages in the order of the stream, the most frequent reason of each first.
    """
    drawn: dict[tuple[str, str], list[tuple[str, Rejection]]] = {}
    totals: collections.Counter[tuple[str, str]] = collections.Counter()
    for one in rejections:
        totals[one.stage, one.reason] += 1
        rows = drawn.setdefault((one.stage, one.reason), [])
        rows.append((record_id("rejected", [seed, one.id]), one))
        if len(rows) > 4 * number + 16:
            rows[:] = heapq.nsmallest(number, rows, key=lambda r: r[0])
    stages = list(dict.fromkeys(stage for stage, _ in drawn))
    ordered = sorted(drawn, key=lambda k: (stages.index(k[0]), -totals[k], k[1]))
    smallest = {key: heapq.nsmallest(number, drawn[key], key=lambda r: r[0]) for key in ordered}
    return tuple(Rejected(*key, totals[key], tuple(_row(r) for _, r in rows)) for key, rows in smallest.items())


def _row(one: Rejection) -> RejectedRow:
    row = json.loads(one.row) if one.row else {}
    if one.stage in RAW:
        return RejectedRow(str(row.get("uri") or one.record_id), "", "not shown: it was not made anonymous yet")
    turns = {m["role"]: m["content"] for m in row.get("messages", ())}  # the last of each role
    if turns:
        return RejectedRow(shortened(turns.get("user", "")), shortened(turns.get("assistant", "")), one.evidence)
    head = str(row.get("title") or row.get("uri") or one.record_id)
    return RejectedRow(head, str(row.get("text", ""))[:200], one.evidence)
