"""What dialogues claim, which claims can't stand beside each other, and which of the two goes.

The claim of the lesser standing goes: no answer before an answer, then the older, the unreviewed, the one that ended sooner.
Where nothing tells which is right both go, for an expert to settle.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from metier.records import Dialogue
from metier.text.blocking import neighbours
from metier.text.contradiction import contradiction
from metier.text.grounding import plain
from metier.text.identifiers import numbers
from metier.text.sections import sentences
from metier.text.statements import Statement, statement
from metier.text.words import wording

NO_END = "9999-12-31"
SENTENCES = 12  # of an answer; what comes later is seldom what was asked
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Claim:
    """What one dialogue answers, and what speaks for it."""

    id: str
    question: str  # equal for questions that differ in case, marks and layout only
    answers: bool  # or says that there is no answer
    effective: str
    reviewed: bool
    superseded: str
    statements: tuple[Statement, ...]

    @property
    def standing(self) -> tuple[bool, str, bool, str]:
        """The larger wins."""
        return self.answers, self.effective, self.reviewed, self.superseded

    @property
    def keys(self) -> set[str]:
        """What a claim about the same thing shares at least one of."""
        found = {word for one in self.statements for word in one.about | one.names | one.codes}
        return found | {f"?{self.question}"}


def claim_of(dialogue: Dialogue, answers: bool) -> Claim:
    """The claim of a dialogue. `answers`: it does not say that there is no answer."""
    question = dialogue.question
    text = _FENCED.sub(" ", plain(dialogue.answer))
    found = sentences(text)[:SENTENCES] if answers else []
    return Claim(
        id=dialogue.id,
        question=f"{' '.join(wording(question))} {sorted(numbers(question))}",
        answers=answers,
        effective=dialogue.effective,
        reviewed=bool(dialogue.reviewed),
        superseded=dialogue.superseded or NO_END,
        statements=tuple(statement(question, one) for one in found),
    )


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two claims of which one is wrong, the sentences that say so, and why."""

    a: Claim
    b: Claim
    said: tuple[str, str]
    why: str

    def evidence(self) -> Iterator[tuple[str, str]]:
        """The ids of the claims that go, with the other row, why, what decided, and both sentences."""
        (first, second), (mine, theirs) = (self.a, self.b), self.said
        for lost, kept, own, other in ((first, second, mine, theirs), (second, first, theirs, mine)):
            if lost.standing <= kept.standing:
                sides = f': "{own}" against "{other}"' if own or other else ""
                yield lost.id, f"contradicts {kept.id} ({self.why}), {_verdict(lost, kept)}{sides}"


def _verdict(lost: Claim, kept: Claim) -> str:
    if lost.standing == kept.standing:
        return "neither is newer or reviewed, so both go and an expert settles it"
    if lost.answers != kept.answers:
        return "which answers"
    if lost.effective != kept.effective:
        return f"which is newer (effective {kept.effective})"
    if lost.reviewed != kept.reviewed:
        return "which is reviewed"
    return f"which holds longer (this one until {lost.superseded})"


def conflicts(claims: Iterable[Claim], most: int) -> Iterator[Conflict]:
    """The pairs of claims that can't both stand, whatever the order of the rows. `most`: as for `neighbours`."""
    by_id = {claim.id: claim for claim in claims}
    asked: dict[str, list[str]] = {}
    for one in sorted(by_id):
        asked.setdefault(by_id[one].question, []).append(one)
    pairs = dict.fromkeys(neighbours({claim.id: claim.keys for claim in by_id.values()}, most))
    pairs |= {(a, b): None for rows in asked.values() for i, a in enumerate(rows) for b in rows[i + 1 :]}
    for a, b in sorted(pairs):
        found = _conflict(by_id[a], by_id[b])
        if found:
            yield found


def _conflict(a: Claim, b: Claim) -> Conflict | None:
    if a.answers != b.answers:
        why = "one answers what the other says is not documented"
        return Conflict(a, b, ("", ""), why) if a.question == b.question else None
    for one in a.statements:
        for other in b.statements:
            why = contradiction(one, other)
            if why:
                return Conflict(a, b, (one.sentence, other.sentence), why)
    return None
