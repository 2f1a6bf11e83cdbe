"""Rejects dialogues that would teach something wrong. Each check is one small function with a reason code.

A dialogue is judged by itself first, in parallel. Those that remain are grouped by their question: where two answers can't
both hold, the older one goes, and where nothing tells which is right, both do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from pydantic import Field, field_validator

from metier.config import StageConfig
from metier.execution.dataflow import rows_in, stream, write_outcome
from metier.execution.step import Context, Input, Stage
from metier.lineage.fingerprint import digest
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Rejection, rejection
from metier.retrieval.prompt import ABSTENTION
from metier.text import quality
from metier.text.contradiction import contradiction
from metier.text.dates import day_of, starts_after, superseded_by
from metier.text.grounding import ungrounded
from metier.text.identifiers import numbers
from metier.text.words import wording

CONTRADICTORY = "contradictory"
NO_END = "9999-12-31"
Check = Callable[[Dialogue], str]
"""Gives the evidence of what is wrong; empty where nothing is."""


class Config(StageConfig):
    """What a dialogue must be like."""

    min_question_words: int = Field(3, ge=1, le=100)
    """Shorter questions are rejected."""
    max_question_words: int = Field(400, ge=1, le=100_000)
    """Longer questions are rejected."""
    max_answer_words: int = Field(200, ge=1, le=100_000)
    """Longer answers are rejected."""
    min_grounded_share: float = Field(0.6, ge=0, le=1)
    """Share of an answer's content words that its evidence or question must hold; numbers and names all must be there."""
    as_of: str = ""
    """Day (ISO 8601) on which knowledge must hold: what was superseded by then, or holds only later, is rejected. Empty: no
    check."""

    @field_validator("as_of")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        day_of(value)
        return value


def abstains(dialogue: Dialogue) -> bool:
    """Whether the answer says that there is none."""
    return dialogue.task == "unanswerable" or dialogue.answer.strip() == ABSTENTION


def checks(config: Config) -> dict[str, Check]:
    """The checks by reason code, in the order in which they are asked."""

    def too_short(d: Dialogue) -> str:
        words = len(wording(d.question))
        if words < config.min_question_words:
            return f"question of {words} words"
        return "" if d.answer.strip() else "empty answer"

    def too_long(d: Dialogue) -> str:
        asked, said = len(wording(d.question)), len(wording(d.answer))
        if asked > config.max_question_words:
            return f"question of {asked} words"
        return f"answer of {said} words" if said > config.max_answer_words else ""

    def invalid_date(d: Dialogue) -> str:
        try:
            day_of(d.effective), day_of(d.superseded)
        except ValueError as error:
            return str(error)
        return ""

    def outdated(d: Dialogue) -> str:
        return f"superseded {d.superseded}" if superseded_by(d.superseded, config.as_of) else ""

    def not_yet_effective(d: Dialogue) -> str:
        return f"effective {d.effective}" if starts_after(d.effective, config.as_of) else ""

    def question_not_answered(d: Dialogue) -> str:
        return "" if abstains(d) else quality.unanswered(d.question, d.answer)

    def without_source(d: Dialogue) -> str:
        if abstains(d) or d.reviewed:  # an expert's word stands above the source
            return ""
        if d.evidence:
            return ungrounded(d.answer, d.question, d.evidence, config.min_grounded_share)
        return "" if d.source == "production" else "no evidence is given"  # people answer from what they know

    return {
        "too_short": too_short,
        "too_long": too_long,
        "broken_encoding": lambda d: quality.broken_encoding(f"{d.question}\n{d.answer}"),
        "refusal": lambda d: quality.refusal(d.answer),
        "repetition": lambda d: quality.repetition(d.answer),
        "invalid_date": invalid_date,
        "outdated": outdated,
        "not_yet_effective": not_yet_effective,
        "question_not_answered": question_not_answered,
        "ungrounded": without_source,
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


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """What one dialogue answers, and what speaks for it."""

    id: str
    answer: str
    standing: tuple[bool, str, bool, str]  # it answers at all; from later; reviewed; until later

    @classmethod
    def of(cls, d: Dialogue) -> Claim:
        """The claim of a dialogue."""
        return cls(d.id, d.answer, (not abstains(d), d.effective, bool(d.reviewed), d.superseded or NO_END))


def question_key(question: str) -> str:
    """Equal for questions that differ in case, marks and layout only."""
    return digest([wording(question), sorted(numbers(question))])


def contradictions(claims: dict[str, list[Claim]]) -> dict[str, str]:
    """Evidence by the ids of dialogues whose answer can't hold beside another to the same question.

    The claim of the lesser standing goes; of equal ones both go, for an expert to settle.
    """
    lost: dict[str, str] = {}
    for rows in claims.values():
        ordered = sorted({claim.id: claim for claim in rows}.values(), key=lambda c: c.id)
        for i, a in enumerate(ordered):
            for b in ordered[i + 1 :]:
                why = _conflict(a, b)
                if why and a.standing <= b.standing:
                    lost.setdefault(a.id, f"contradicts {b.id} ({why})")
                if why and b.standing <= a.standing:
                    lost.setdefault(b.id, f"contradicts {a.id} ({why})")
    return lost


def _conflict(a: Claim, b: Claim) -> str:
    if a.standing[0] != b.standing[0]:
        return "one answers what the other says is not documented"
    return contradiction(a.answer, b.answer) if a.standing[0] else ""


def run(context: Context[Config]) -> Counts:
    """Writes kept and rejected dialogues, in the order of the input."""
    rejected: dict[str, Rejection] = {}
    claims: dict[str, list[Claim]] = {}
    for row in stream(context, "dialogues", Dialogue, operator(context.config), Dialogue):
        if isinstance(row, Rejection):
            rejected[row.record_id] = row
        else:
            claims.setdefault(question_key(row.question), []).append(Claim.of(row))
    lost = contradictions(claims)

    def outcome() -> Iterator[Dialogue | Rejection]:
        for one in context.records("dialogues", Dialogue):
            if one.id in lost:
                yield rejection(one, "filter", CONTRADICTORY, lost[one.id])
            else:
                yield rejected.get(one.id, one)

    return write_outcome(context, outcome(), Dialogue, rows_in(context, "dialogues"))


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
