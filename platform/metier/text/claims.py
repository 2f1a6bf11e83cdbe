"""What dialogues claim, which claims can't stand beside each other, and which of the two goes.

The claim of the lesser standing goes: no answer before an answer, then the older, the unreviewed, the one that ended sooner.
Where nothing tells which is right both go, for an expert to settle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from metier.records import Dialogue, Record
from metier.text.contradiction import closeness, comparable, contradiction
from metier.text.dates import NO_END, plain_day
from metier.text.grounding import plain
from metier.text.identifiers import identifiers, numbers
from metier.text.sections import sentences
from metier.text.statements import Statement, statement
from metier.text.words import wording

RULES = "rules"
SENTENCES = 12  # of an answer; what comes later is seldom what was asked
LONGEST = 1000  # characters of a sentence; what is longer is a table, or data
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)

By = Literal["answers", "effective", "reviewed", "superseded", "expert"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What one dialogue answers, and what speaks for it."""

    id: str
    asked: str  # the question as it was written
    question: str  # equal for questions that differ in case, marks and layout only
    answers: bool  # or says that there is no answer
    effective: str  # a day
    reviewed: bool
    superseded: str  # a day
    statements: tuple[Statement, ...]

    @property
    def standing(self) -> tuple[bool, str, bool, str]:
        """The larger wins."""
        return self.answers, self.effective, self.reviewed, self.superseded

    @property
    def about(self) -> str:
        """The names in code of the question. Where they differ nothing else is compared."""
        return "\0".join(sorted(identifiers(self.asked) - numbers(self.asked)))

    @property
    def keys(self) -> set[str]:
        """What a claim about the same thing shares at least one of."""
        found, about = {word for one in self.statements for word in one.about | one.names | one.codes}, self.about
        return {f"{word}\0{about}" for word in found}


def claim_of(dialogue: Dialogue, answers: bool) -> Claim:
    """The claim of a dialogue. `answers`: it does not say that there is no answer. Raises ValueError for a day that is none."""
    question = dialogue.question
    text = _FENCED.sub(" ", plain(dialogue.answer))
    found = [one for one in sentences(text)[:SENTENCES] if len(one) <= LONGEST] if answers else []
    return Claim(
        id=dialogue.id,
        asked=question,
        question=f"{' '.join(wording(question))} {sorted(numbers(question))}",
        answers=answers,
        effective=plain_day(dialogue.effective),
        reviewed=bool(dialogue.reviewed),
        superseded=plain_day(dialogue.superseded) or NO_END,
        statements=tuple(statement(question, one) for one in found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction(Record):
    """Two dialogues of which one is wrong, the sentences that say so, who found it, and which of them stays by what."""

    first: str  # id; the lower of the two
    second: str
    first_sentence: str = ""
    second_sentence: str = ""
    why: str = ""
    found_by: str = RULES  # or the model that was asked
    wins: str = ""  # id of the one that stays; empty: both go
    by: By  # answers: the other says that nothing is documented; superseded: the other ended sooner; expert: nothing tells
    day: str = ""  # from when the one that stays holds, or until when the other held, where a day decided

    def evidence(self) -> Iterator[tuple[str, str]]:
        """The ids of the dialogues that go, with the other one, why, what decided, and both sentences."""
        said = (self.first_sentence, self.second_sentence)
        for lost, kept, (own, other) in ((self.first, self.second, said), (self.second, self.first, said[::-1])):
            if lost != self.wins:
                sides = f': "{own}" against "{other}"' if own or other else ""
                why = self.why if self.found_by == RULES else f"{self.why}, says {self.found_by}"
                yield lost, f"contradicts {kept} ({why}), {self._decided()}{sides}"

    def _decided(self) -> str:
        return {
            "answers": "which answers",
            "effective": f"which is newer (effective {self.day})",
            "reviewed": "which is reviewed",
            "superseded": f"which holds longer (this one until {self.day})",
            "expert": "neither is newer or reviewed, so both go and an expert settles it",
        }[self.by]


def verdict(a: Claim, b: Claim, said: tuple[str, str] = ("", ""), why: str = "") -> Contradiction:
    """What follows if the claims, `a` of the lower id, contradict each other."""
    lost, kept = sorted((a, b), key=lambda claim: claim.standing)
    by: By = "superseded"
    if lost.standing == kept.standing:
        by = "expert"
    elif lost.answers != kept.answers:
        by = "answers"
    elif lost.effective != kept.effective:
        by = "effective"
    elif lost.reviewed != kept.reviewed:
        by = "reviewed"
    return Contradiction(
        first=a.id,
        second=b.id,
        first_sentence=said[0],
        second_sentence=said[1],
        why=why,
        wins="" if by == "expert" else kept.id,
        by=by,
        day={"effective": kept.effective, "superseded": lost.superseded}.get(by, ""),
    )


def conflict(a: Claim, b: Claim) -> Contradiction | None:
    """Why the claims, `a` of the lower id, can't both stand, as far as rules tell."""
    if a.answers != b.answers:
        why = "one answers what the other says is not documented"
        return verdict(a, b, why=why) if a.question == b.question else None
    for one in a.statements:
        for other in b.statements:
            why = contradiction(one, other)
            if why:
                return verdict(a, b, (one.sentence, other.sentence), why)
    return None


@dataclass(frozen=True, slots=True)
class Open:
    """Two claims that rules find nothing between, though they may speak of one thing."""

    questions: tuple[str, str]
    said: tuple[tuple[str, ...], tuple[str, ...]]  # the sentences of each answer
    closest: tuple[int, int]  # those of them that share most
    closeness: float
    verdict: Contradiction  # if they contradict each other


def left_open(a: Claim, b: Claim, least: float) -> Open | None:
    """The claims, `a` of the lower id, where rules that found no conflict do not settle that there is none.

    `least`: share of the words of two sentences, questions included, from which they may speak of one thing.
    """
    found = [
        (closeness(one, other), -i, -j)
        for i, one in enumerate(a.statements)
        for j, other in enumerate(b.statements)
        if one.sentence != other.sentence and comparable(one, other)
    ]
    shared, i, j = max(found, default=(0.0, 0, 0))
    if not found or shared < least:
        return None
    said = tuple(s.sentence for s in a.statements), tuple(s.sentence for s in b.statements)
    return Open((a.asked, b.asked), said, (-i, -j), round(shared, 4), verdict(a, b))
