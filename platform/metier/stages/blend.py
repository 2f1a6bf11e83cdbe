"""Blends the training set: balanced over tasks, and framed as the model will be asked.

Part of the pairs are closed-book. The others carry what the real retriever finds for their question, distractors and
all, in the prompt that serving assembles. In a small share the passage that holds the answer is withheld and the answer
becomes an abstention, so that the model learns to say when its passages do not help (RAFT, Zhang et al. 2024).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field

from metier.config import StageConfig
from metier.errors import StepError
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Message, Passage, Rejection, record_id, rejection
from metier.retrieval.embedding import Embedder, EmbedderSource
from metier.retrieval.index import Retriever
from metier.retrieval.prompt import ABSTENTION, prompt_messages
from metier.stages.index import FOLDER as INDEX

OVER_QUOTA = "over_quota"
SEARCH_ROWS = 64  # questions searched between two progress reports
HELD_WORDS = 0.8  # a passage holds an evidence of which it has this share of words (a signature may be cut short)


class Config(StageConfig):
    """The make-up of the training set."""

    max_dialogues: int = Field(2000, ge=1, le=10_000_000)
    """Most training dialogues; tasks take turns, so rare tasks are not drowned."""
    validation_dialogues: int = Field(48, ge=0, le=100_000)
    """Dialogues from dev documents, held out for the validation loss."""
    retrieval_share: float = Field(0.8, ge=0, le=1)
    """Share of dialogues that carry retrieved passages, among tasks that may be closed-book."""
    closed_book_tasks: tuple[str, ...] = ("purpose", "which", "difference", "teacher", "unanswerable")
    """Tasks that may be closed-book; bare values are always asked with passages, lest the model learns to guess them."""
    passages: int = Field(3, ge=1, le=50)
    """Passages in a prompt; the same number as in serving."""
    withheld_share: float = Field(0.06, ge=0, le=0.5)
    """Share of retrieval dialogues whose telling passage is withheld and whose answer is an abstention."""
    seed: int = Field(0, ge=0)
    """Another seed blends other rows."""


def _chance(config: Config, what: str, dialogue: Dialogue) -> float:
    """A number in [0, 1) that depends on the dialogue alone, not on its place."""
    return int(record_id(what, [config.seed, dialogue.id])[:12], 16) / 16**12


def balanced(dialogues: Iterable[Dialogue], limit: int, config: Config) -> tuple[list[Dialogue], list[Dialogue]]:
    """At most `limit` dialogues, the tasks taking turns, and those left over."""
    by_task: dict[str, list[Dialogue]] = {}
    for one in sorted(dialogues, key=lambda d: (_chance(config, "order", d), d.id)):
        by_task.setdefault(one.task, []).append(one)
    rounds = itertools.zip_longest(*(by_task[task] for task in sorted(by_task)))
    ranked = [one for row in rounds for one in row if one is not None]
    return ranked[:limit], ranked[limit:]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def holds(passage: Passage, dialogue: Dialogue) -> bool:
    """Whether the passage is of the dialogue's document and holds its evidence."""
    wanted = _words(dialogue.evidence)
    return (
        passage.root_id == dialogue.root_id
        and bool(wanted)
        and len(wanted & _words(passage.text)) >= HELD_WORDS * len(wanted)
    )


def framed(dialogue: Dialogue, found: Sequence[Passage], own: Sequence[Passage], config: Config) -> Dialogue:
    """The dialogue behind its passages. `found` is what retrieval gave, `own` all passages of its document."""
    shown, answer = list(found), dialogue.answer
    telling = [p for p in own if holds(p, dialogue)]
    if dialogue.evidence and telling:
        if _chance(config, "withheld", dialogue) < config.withheld_share:
            shown = [p for p in shown if p.root_id != dialogue.root_id]
            answer = ABSTENTION
        elif not any(p.id in {t.id for t in telling} for p in shown):
            place = int(_chance(config, "place", dialogue) * config.passages)
            shown = shown[: config.passages - 1]
            shown.insert(place, telling[0])
    messages = (*prompt_messages(dialogue.question, shown), Message(role="assistant", content=answer))
    return dialogue.derive(Dialogue, messages=messages, framing="retrieval", passage_ids=tuple(p.id for p in shown))


def closed_book(dialogue: Dialogue) -> Dialogue:
    """The dialogue with the house's system message and no passages."""
    messages = (*prompt_messages(dialogue.question, ()), Message(role="assistant", content=dialogue.answer))
    return dialogue.derive(Dialogue, messages=messages, framing="closed_book")


def _framed_all(context: Context[Config], chosen: Sequence[Dialogue], own: dict[str, list[Passage]]) -> list[Dialogue]:
    config = context.config
    retriever = Retriever(Path(context.location("index")) / INDEX, Embedder(context.location("embedder")))
    made: dict[str, Dialogue] = {}
    asking = []
    for one in chosen:
        may = one.task in config.closed_book_tasks
        if may and _chance(config, "framing", one) >= config.retrieval_share:
            made[one.id] = closed_book(one)
        else:
            asking.append(one)
    for split in sorted({d.split for d in asking}):  # a prompt shows no document of another split
        rows = [d for d in asking if d.split == split]
        for start in range(0, len(rows), SEARCH_ROWS):
            batch = rows[start : start + SEARCH_ROWS]
            hits = retriever.search_many([d.question for d in batch], config.passages, split)
            for one, found in zip(batch, hits, strict=True):
                made[one.id] = framed(one, found, own.get(one.root_id, []), config)
            context.progress(len(made), len(chosen), "dialogues")
    return [made[one.id] for one in chosen]


def run(context: Context[Config]) -> Counts:
    """Writes `kept` (training) and `validation` (from dev documents); what is over the quota is rejected by that name."""
    config = context.config
    dialogues = list(context.records("dialogues", Dialogue))
    train, over = balanced((d for d in dialogues if d.split != "dev"), config.max_dialogues, config)
    held_out, more = balanced((d for d in dialogues if d.split == "dev"), config.validation_dialogues, config)
    if not train:
        raise StepError(f"{context.step}: no dialogue is left to train on")
    own: dict[str, list[Passage]] = {}
    for passage in context.records("passages", Passage):
        own.setdefault(passage.root_id, []).append(passage)
    ready = _framed_all(context, [*train, *held_out], own)
    context.output.table("kept", Dialogue, ready[: len(train)])
    context.output.table("validation", Dialogue, ready[len(train) :])
    left = [rejection(d, "blend", OVER_QUOTA, f"task {d.task}, split {d.split or 'none'}") for d in [*over, *more]]
    context.output.table("rejected", Rejection, left)
    return Counts(read=len(dialogues), kept=len(ready), rejected={OVER_QUOTA: len(left)} if left else {})


STAGE = Stage(
    name="blend",
    revision=1,
    summary="Blends the training set: balanced over tasks, closed-book and with retrieved passages.",
    config=Config,
    inputs={
        "dialogues": Input("pairs to blend", record=Dialogue),
        "passages": Input("passages of the documents", record=Passage),
        "index": Input("output of the index stage"),
        "embedder": Input("embedding model of the index", opens=EmbedderSource),
    },
    outputs={"kept": Dialogue, "validation": Dialogue, "rejected": Rejection},
    run=run,
    conserves=True,
)
