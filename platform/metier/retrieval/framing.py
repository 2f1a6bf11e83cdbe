"""Puts a training dialogue behind the passages with which it will be asked: plain functions, no search in here.

What retrieval found is shown as it was found, so that training sees serving's distractors. Three things are changed, each
in a seeded share of the dialogues: a passage that holds the answer is put in where retrieval missed it, the order is
shuffled so that the first passage is not trusted blindly, and the telling passages are withheld while the answer becomes
an abstention, so that the model learns to say when its passages do not help (RAFT, Zhang et al. 2024).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metier.records import Dialogue, Message, Passage, record_id
from metier.retrieval.prompt import ABSTENTION, prompt_messages
from metier.text.words import wording

HELD_WORDS = 0.8  # share of the evidence's words that a passage must have: chunking may cut a signature short
LEADING_WORDS = 30  # of the evidence that count: a long parameter description is continued in another passage


@dataclass(frozen=True)
class Framing:
    """How passages are shown: how many, and in which shares they are withheld or shuffled."""

    passages: int
    withheld_share: float
    shuffled_share: float
    seed: int


class Library:
    """The passages that dialogues were written from, by document and by title."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._by_root: dict[str, list[Passage]] = {}
        self._by_title: dict[str, list[Passage]] = {}
        for one in sorted(passages, key=lambda p: (p.root_id, p.position, p.id)):
            self._by_root.setdefault(one.root_id, []).append(one)
            self._by_title.setdefault(one.title, []).append(one)

    def telling(self, dialogue: Dialogue) -> list[list[Passage]]:
        """For each part of the evidence, the passages that hold it: of the dialogue's document, or of the one it names."""
        own = self._by_root.get(dialogue.root_id, [])
        side = "dev" if dialogue.split == "dev" else "train"
        found = []
        for part in evidence_parts(dialogue):
            named = re.match(r"[\w.]+", part)
            others = [p for p in self._by_title.get(named[0] if named else "", []) if p.split in ("", side)]
            found.append([p for p in {p.id: p for p in [*own, *others]}.values() if tells(p, part, dialogue.answer)])
        return found


def chance(seed: int, what: str, dialogue: Dialogue) -> float:
    """A number in [0, 1) that depends on the dialogue alone, not on its place."""
    return int(record_id(what, [seed, dialogue.id])[:12], 16) / 16**12


def evidence_parts(dialogue: Dialogue) -> list[str]:
    """The texts that the answer needs: two for a comparison, else one, none where nothing holds the answer."""
    if not dialogue.evidence:
        return []
    return dialogue.evidence.split("\n") if dialogue.task == "difference" else [dialogue.evidence]


def tells(passage: Passage, evidence: str, answer: str) -> bool:
    """Whether a passage holds the evidence: most of its beginning, and all that the answer takes from there."""
    leading, held = _words(" ".join(evidence.split()[:LEADING_WORDS])), _words(passage.text)
    return (
        bool(leading) and len(leading & held) >= HELD_WORDS * len(leading) and (leading & _words(answer)) <= held
    )  # fmt: skip


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def behind_passages(
    dialogue: Dialogue, found: Sequence[Passage], library: Library, framing: Framing
) -> tuple[Dialogue, list[Passage]] | None:
    """The dialogue behind its passages, and these; None when no passage holds its evidence: it would teach to invent.

    `found` is what retrieval gave, best first, more than are shown: withheld passages are replaced by the next ones.
    """
    shown, answer = list(found[: framing.passages]), dialogue.answer
    telling = library.telling(dialogue)
    if telling and not all(telling):
        return None
    others = _silent(dialogue, found, telling)[: framing.passages]
    if telling and others and chance(framing.seed, "withheld", dialogue) < framing.withheld_share:
        shown, answer = others, ABSTENTION
    else:
        shown = _with_gold(shown, telling, chance(framing.seed, "place", dialogue), framing.passages)
    if chance(framing.seed, "shuffled", dialogue) < framing.shuffled_share:
        shown.sort(key=lambda p: record_id("order", [framing.seed, dialogue.id, p.id]))
    return _asked(dialogue, shown, answer), shown


def beside(dialogue: Dialogue, shown: Sequence[Passage], library: Library) -> Dialogue | None:
    """The dialogue behind passages that another one's question found; None where they do not hold its evidence.

    Different questions behind one context teach that the question decides what is read out of it.
    """
    ids = {p.id for p in shown}
    held = all(any(p.id in ids for p in part) for part in library.telling(dialogue))
    return _asked(dialogue, shown, dialogue.answer) if held else None


def closed_book(dialogue: Dialogue, answer: str = "") -> Dialogue:
    """The dialogue without passages, with its own answer or another."""
    return _asked(dialogue, (), answer or dialogue.answer)


def _silent(dialogue: Dialogue, found: Sequence[Passage], telling: Sequence[Sequence[Passage]]) -> list[Passage]:
    """What retrieval found that surely does not answer: of other documents, and not telling."""
    known = {p.id for part in telling for p in part}
    parts = evidence_parts(dialogue)
    return [
        p
        for p in found
        if p.root_id != dialogue.root_id
        and p.id not in known
        and not any(tells(p, part, dialogue.answer) for part in parts)
    ]


def _with_gold(
    shown: list[Passage], telling: Sequence[Sequence[Passage]], place: float, most: int
) -> list[Passage]:  # fmt: skip
    """The shown passages, with one that tells for each part of the evidence; it takes the place of the last that doesn't."""
    for part in telling:
        ids = {p.id for p in part}
        if any(p.id in ids for p in shown):
            continue
        needed = {p.id for other in telling for p in other}
        spare = [i for i, p in enumerate(shown) if p.id not in needed]
        if len(shown) >= most:
            del shown[spare[-1] if spare else -1]
        shown.insert(int(place * (len(shown) + 1)), part[0])
    return shown


def _asked(dialogue: Dialogue, shown: Sequence[Passage], answer: str) -> Dialogue:
    """The dialogue with the house's prompt; its earlier turns stay."""
    spoken = [m for m in dialogue.messages if m.role != "system"]
    last = max(i for i, m in enumerate(spoken) if m.role == "user")
    before = [m.content for m in spoken[:last]]
    turns = list(zip(before[::2], before[1::2], strict=False))
    messages = (
        *prompt_messages(dialogue.question, shown, examples=turns), Message(role="assistant", content=answer)
    )  # fmt: skip
    return dialogue.derive(
        Dialogue,
        messages=messages,
        framing="retrieval" if shown else "closed_book",
        passage_ids=tuple(p.id for p in shown),
        evidence="" if answer == ABSTENTION else dialogue.evidence,
    )


def passages_wanted(dialogues: Sequence[Dialogue]) -> tuple[set[str], set[str]]:
    """The documents (ids) and titles whose passages `Library` needs for these dialogues."""
    titles = {m[0] for d in dialogues for part in evidence_parts(d) if (m := re.match(r"[\w.]+", part))}
    return {d.root_id for d in dialogues}, titles


def tokens_estimate(dialogue: Dialogue, characters_per_token: float, lead: Dialogue | None = None) -> int:
    """About how many tokens a dialogue has; beside `lead`, only those that follow what both begin with."""
    own, shared = _texts(dialogue), 0
    if lead is not None:
        other = _texts(lead)
        shared = next(
            (i for i, (a, b) in enumerate(zip(own, other, strict=False)) if a != b), min(len(own), len(other))
        )
    return round((len(own) - shared) / characters_per_token)


def _texts(dialogue: Dialogue) -> str:
    return "".join(m.content for m in dialogue.messages)


def weighted_turns(
    dialogues: Sequence[Dialogue], weights: Mapping[str, float], seed: int
) -> tuple[list[Dialogue], list[Dialogue]]:  # fmt: skip
    """All dialogues in an order of which every beginning is balanced over tasks, and those whose weight is 0.

    A task of weight 2 has two turns where one of weight 1 has one; a task that is not named has weight 1. Within a task the
    answers take turns, so a common one (most defaults are None) is not learnt in place of reading.
    """
    by_task: dict[str, list[Dialogue]] = {}
    for one in sorted(dialogues, key=lambda d: (chance(seed, "turn", d), d.id)):
        by_task.setdefault(one.task, []).append(one)
    left = [one for task, rows in by_task.items() if weights.get(task, 1.0) == 0 for one in rows]
    due = [
        ((turn + 0.5) / weights.get(task, 1.0), task, one)
        for task, rows in by_task.items()
        if weights.get(task, 1.0) > 0
        for turn, one in enumerate(_by_answer(rows))
    ]
    return [one for _, _, one in sorted(due, key=lambda entry: entry[:2])], left


def _by_answer(rows: Sequence[Dialogue]) -> list[Dialogue]:
    """The rows in an order in which what the answers add to their questions takes turns."""
    met: Counter[frozenset[str]] = Counter()
    turns = []
    for one in rows:
        added = frozenset(wording(one.answer)) - frozenset(wording(one.question))
        turns.append((met[added], one))
        met[added] += 1
    return [one for _, one in sorted(turns, key=lambda entry: entry[0])]
