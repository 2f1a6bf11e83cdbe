"""Rejects dialogues that would teach something wrong. Each check is one small function with a reason code."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator

from pydantic import Field, field_validator

from metier.config import StageConfig
from metier.execution.dataflow import stream, write_outcome
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Rejection, rejection
from metier.retrieval.prompt import ABSTENTION
from metier.text import quality
from metier.text.words import wording

Check = Callable[[Dialogue], str]
"""Gives the evidence of what is wrong; empty where nothing is."""


class Config(StageConfig):
    """What a dialogue must be like."""

    min_question_words: int = Field(3, ge=1, le=100)
    """Shorter questions are rejected."""
    max_answer_words: int = Field(200, ge=1, le=10_000)
    """Longer answers are rejected."""
    min_grounded_share: float = Field(0.6, ge=0, le=1)
    """Share of an answer's content words that its evidence or question must hold; numbers and names all must be there."""
    as_of: str = ""
    """Day (ISO 8601) on which knowledge must hold: what was superseded by then, or holds only later, is rejected."""

    @field_validator("as_of")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        if value:
            datetime.date.fromisoformat(value)
        return value


def _abstains(dialogue: Dialogue) -> bool:
    return dialogue.answer.strip() == ABSTENTION


def checks(config: Config) -> dict[str, Check]:
    """The checks by reason code, in the order in which they are asked."""

    def too_short(d: Dialogue) -> str:
        words = len(wording(d.question))
        return f"question of {words} words" if words < config.min_question_words or not d.answer.strip() else ""

    def too_long(d: Dialogue) -> str:
        words = len(wording(d.answer))
        return f"answer of {words} words" if words > config.max_answer_words else ""

    def outdated(d: Dialogue) -> str:
        return f"superseded {d.superseded}" if config.as_of and d.superseded and d.superseded <= config.as_of else ""

    def not_yet_effective(d: Dialogue) -> str:
        return f"effective {d.effective}" if config.as_of and d.effective > config.as_of else ""

    def ungrounded(d: Dialogue) -> str:
        if _abstains(d) or d.source == "production":  # a person's answer is grounded in what the person knows
            return ""
        if not d.evidence:
            return "no evidence is given"
        return quality.ungrounded(d.answer, d.question, d.evidence, config.min_grounded_share)

    return {
        "too_short": too_short,
        "too_long": too_long,
        "broken_encoding": lambda d: quality.broken_encoding(d.question + d.answer),
        "refusal": lambda d: quality.refusal(d.answer),
        "repetition": lambda d: "" if "```" in d.answer else quality.repetition(d.answer),
        "outdated": outdated,
        "not_yet_effective": not_yet_effective,
        "ungrounded": ungrounded,
    }


def operator(config: Config) -> Callable[[list[Dialogue]], Iterator[Dialogue | Rejection]]:
    """Each dialogue as it is, or rejected by the first check that finds something."""
    asked = checks(config)

    def apply(dialogues: list[Dialogue]) -> Iterator[Dialogue | Rejection]:
        for one in dialogues:
            found = ((reason, check(one)) for reason, check in asked.items())
            fault = next(((reason, evidence) for reason, evidence in found if evidence), None)
            yield rejection(one, "filter", *fault) if fault else one

    return apply


def without_contradictions(outcome: Iterable[Dialogue | Rejection]) -> Iterator[Dialogue | Rejection]:
    """Of dialogues that answer one question in ways that can't both hold: the newer stays, or none where it is unclear."""
    by_question: dict[tuple[str, ...], list[Dialogue]] = {}
    for one in outcome:
        if isinstance(one, Rejection):
            yield one
        else:
            by_question.setdefault(tuple(wording(one.question)), []).append(one)
    for rows in by_question.values():
        yield from _settled(rows)


def _settled(rows: list[Dialogue]) -> Iterator[Dialogue | Rejection]:
    lost: dict[str, str] = {}
    for i, a in enumerate(rows):
        for b in rows[i + 1 :]:
            why = quality.contradiction(a.answer, b.answer)
            if why:
                for loser, winner in _losers(a, b):
                    lost.setdefault(loser.id, f"contradicts {winner.id} ({why})")
    for one in rows:
        yield rejection(one, "filter", "contradictory", lost[one.id]) if one.id in lost else one


def _losers(a: Dialogue, b: Dialogue) -> list[tuple[Dialogue, Dialogue]]:
    """Loser and winner: the later effective date wins, then the reviewed row; where neither tells, both lose."""
    for mine, theirs in ((a.effective, b.effective), (bool(a.reviewed), bool(b.reviewed))):
        if mine != theirs:
            return [(b, a)] if mine > theirs else [(a, b)]  # type: ignore[operator]
    return [(a, b), (b, a)]


def run(context: Context[Config]) -> Counts:
    """Writes kept and rejected dialogues."""
    read = 0

    def counted() -> Iterator[Dialogue | Rejection]:
        nonlocal read
        for one in stream(context, "dialogues", Dialogue, operator(context.config), Dialogue):
            read += 1
            yield one

    counts = write_outcome(context, without_contradictions(counted()), Dialogue, 0)
    return counts.model_copy(update={"read": read})


STAGE = Stage(
    name="filter",
    revision=1,
    summary="Rejects dialogues that are ungrounded, contradictory, outdated or malformed.",
    config=Config,
    inputs={"dialogues": Input("dialogues", record=Dialogue)},
    outputs={"kept": Dialogue, "rejected": Rejection},
    run=run,
    conserves=True,
)
