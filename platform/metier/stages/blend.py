"""Blends the training set: balanced over tasks, and framed as the model will be asked.

Most dialogues carry what the real retriever finds for their question, distractors and all, in the prompt that serving
assembles (`metier.retrieval.framing`); others of the same document join them behind the same passages. A closed-book rest
keeps to what a model may know by heart; bare values without a passage are at most answered by abstaining, because a small
model that is taught them learns to invent the others. What people said, and no document, is closed-book too: nothing tells
whether a passage that is found would answer it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from metier.config import StageConfig
from metier.errors import StepError
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Passage, Rejection, Split, rejection
from metier.retrieval.embedding import Embedder, EmbedderSource
from metier.retrieval.framing import (
    Framing,
    Library,
    behind_passages,
    beside,
    chance,
    closed_book,
    passages_wanted,
    tokens_estimate,
    weighted_turns,
)
from metier.retrieval.index import Retriever
from metier.retrieval.prompt import ABSTENTION
from metier.stages.index import FOLDER as INDEX
from metier.training.space import of_blend, settled

NAME = "blend"
OVER_QUOTA, NO_PASSAGE, EXAM_SPLIT, REPEATED = "over_quota", "evidence_in_no_passage", "exam_split", "repeated_id"
SEARCH_ROWS = 64  # questions searched between two progress reports
SPARE_PASSAGES = 9  # found beyond those shown, to take the place of withheld ones
CHARACTERS_PER_TOKEN = 3.6  # measured on these prompts with SmolLM2's tokenizer


class Config(StageConfig):
    """The make-up of the training set."""

    max_dialogues: int = Field(2000, ge=1, le=10_000_000)
    """Most training dialogues; tasks take turns, so rare tasks are not drowned."""
    max_tokens: int = Field(1_000_000, ge=1000, le=10**12)
    """Most tokens of the training set, estimated from its characters, shared contexts once: what one epoch costs."""
    validation_dialogues: int = Field(48, ge=0, le=100_000)
    """Dialogues from dev documents and of held-out production logs, for the validation loss."""
    task_weights: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(
        default_factory=lambda: {"default": 2.0, "json": 2.0, "unanswerable": 1.5, "example": 0.5}
    )
    """Turns of a task for each turn of the others; a task that is not named has 1, and 0 leaves a task out."""
    retrieval_share: float = Field(0.8, ge=0, le=1)
    """Share of dialogues that carry retrieved passages, among tasks that may be closed-book and have evidence."""
    closed_book_tasks: tuple[str, ...] = ("purpose", "teacher", "unanswerable")
    """Tasks that may be closed-book; all others are asked with passages, but for dialogues without evidence, such as those of
    production logs: these are always closed-book."""
    closed_book_abstention_share: float = Field(0.03, ge=0, le=0.5)
    """Share of the other tasks that is asked closed-book and answered by an abstention."""
    passages: int = Field(3, ge=1, le=50)
    """Passages in a prompt; the same number as in serving."""
    questions_per_context: int = Field(4, ge=1, le=64)
    """Most dialogues of one document behind the passages that one of them found: training computes these once, so more
    dialogues fit into the same time. 1: each has its own."""
    withheld_share: float = Field(0.05, ge=0, le=0.5)
    """Share of retrieval dialogues whose telling passages are withheld and whose answer is an abstention."""
    shuffled_share: float = Field(0.5, ge=0, le=1)
    """Share of retrieval dialogues whose passages are shuffled; the others stand as retrieval ranked them."""
    seed: int = Field(0, ge=0)
    """Another seed blends other rows."""


def has_source(dialogue: Dialogue) -> bool:
    """Whether it is known which passages answer it: by its evidence, or because it was written so that none does."""
    return bool(dialogue.evidence) or (dialogue.task == "unanswerable" and dialogue.answer == ABSTENTION)


def is_closed_book(dialogue: Dialogue, config: Config) -> bool:
    """Whether the dialogue is asked without passages."""
    if not has_source(dialogue):
        return True
    if dialogue.task in config.closed_book_tasks:
        return chance(config.seed, "framing", dialogue) >= config.retrieval_share
    return chance(config.seed, "framing", dialogue) < config.closed_book_abstention_share


def without_passages(dialogue: Dialogue, config: Config) -> Dialogue:
    """The closed-book dialogue: with its answer where the task allows or there is no passage to ask it with, else with an
    abstention."""
    known = dialogue.task in config.closed_book_tasks or not has_source(dialogue)
    return closed_book(dialogue, "" if known else ABSTENTION)


def _leads(waiting: Iterable[Dialogue]) -> list[Dialogue]:
    """The next dialogues to be searched for, of different documents: the others may find their place beside these."""
    by_root: dict[str, Dialogue] = {}
    for one in waiting:
        by_root.setdefault(one.root_id, one)
        if len(by_root) == SEARCH_ROWS:
            break
    return list(by_root.values())


def first_of_each(dialogues: Iterable[Dialogue]) -> tuple[list[Dialogue], list[Dialogue]]:
    """The rows whose id stands here for the first time, and those that repeat one."""
    first: dict[str, Dialogue] = {}
    repeats = [one for one in dialogues if first.setdefault(one.id, one) is not one]
    return list(first.values()), repeats


class _Blender:
    """Frames dialogues in their order until a quota is full."""

    def __init__(self, context: Context[Config], dialogues: Sequence[Dialogue]) -> None:
        config = context.config
        self._context, self._config = context, config
        self._framing = Framing(config.passages, config.withheld_share, config.shuffled_share, config.seed)
        self._retriever = Retriever(Path(context.location("index")) / INDEX, Embedder(context.location("embedder")))
        roots, titles = passages_wanted(dialogues)
        every = context.records("passages", Passage)
        self._library = Library([p for p in every if p.root_id in roots or p.title in titles])
        self.lost: list[Rejection] = []

    def blended(self, dialogues: Sequence[Dialogue], side: Split, most: int, budget: float) -> list[Dialogue]:
        """At most `most` dialogues of `budget` tokens; the others go to `lost`, each with its reason."""
        ranked, left = weighted_turns(dialogues, self._config.task_weights, self._config.seed)
        self._reject(left, OVER_QUOTA, "weight 0")
        waiting = {d.id: d for d in ranked}
        siblings: dict[str, list[Dialogue]] = {}
        for one in ranked:
            if not is_closed_book(one, self._config):
                siblings.setdefault(one.root_id, []).append(one)
        kept: list[Dialogue] = []
        served: Counter[str] = Counter()
        spent = 0
        while waiting and len(kept) < most and spent < budget:
            leads = _leads(waiting.values())
            for lead, found in zip(leads, self._searched(leads, side), strict=True):
                others = [d for d in siblings.get(lead.root_id, ()) if d.id in waiting and d.id != lead.id]
                others.sort(key=lambda d: served[d.task] / self._config.task_weights.get(d.task, 1.0))
                group = self._group(lead, found, others)
                if not group:
                    self._reject([waiting.pop(lead.id)], NO_PASSAGE, lead.evidence)
                for origin, framed in group:
                    if len(kept) < most and spent < budget:
                        del waiting[origin.id]
                        first = group[0][1] if framed is not group[0][1] else None
                        spent += tokens_estimate(framed, CHARACTERS_PER_TOKEN, first)
                        kept.append(framed)
                        served[origin.task] += 1
            self._context.progress(len(kept), min(most, len(ranked)), f"{side} dialogues")
        self._reject(waiting.values(), OVER_QUOTA, "the blend is full")
        return kept

    def _searched(self, leads: Sequence[Dialogue], side: Split) -> list[list[Passage]]:
        """What retrieval finds for each, of no document of another split: the exam's stay unseen."""
        asking = [d for d in leads if not is_closed_book(d, self._config)]
        number = self._config.passages + SPARE_PASSAGES
        found = self._retriever.search_many([d.question for d in asking], number, side)
        hits = {d.id: h for d, h in zip(asking, found, strict=True)}
        return [hits.get(d.id, []) for d in leads]

    def _group(
        self, lead: Dialogue, found: Sequence[Passage], others: Sequence[Dialogue]
    ) -> list[tuple[Dialogue, Dialogue]]:
        """The lead and some of the others behind its passages, each beside what it was made from; other tasks first."""
        if is_closed_book(lead, self._config):
            return [(lead, without_passages(lead, self._config))]
        framed = behind_passages(lead, found, self._library, self._framing)
        if framed is None:
            return []
        group = [(lead, framed[0])]
        tasks = {lead.task}
        for again in (False, True):
            for one in others:
                if len(group) == self._config.questions_per_context:
                    return group
                if again != (one.task in tasks) or any(one.id == origin.id for origin, _ in group):
                    continue
                companion = beside(one, framed[1], self._library)
                if companion:
                    group.append((one, companion))
                    tasks.add(one.task)
        return group

    def _reject(self, rows: Iterable[Dialogue], reason: str, evidence: str) -> None:
        self.lost += [rejection(d, NAME, reason, f"task {d.task}: {evidence}") for d in rows]


def run(context: Context[Config]) -> Counts:
    """Writes `kept` (training), `validation` (from dev documents) and `rejected`."""
    if context.has("settings"):
        config = settled(context.config, context.location("settings"), of_blend)
        context = dataclasses.replace(context, config=config)
    config = context.config
    dialogues, repeats = first_of_each(context.records("dialogues", Dialogue))
    blender = _Blender(context, dialogues)
    blender.lost += [rejection(d, NAME, REPEATED, "a row before it has its id") for d in repeats]
    exam = [d for d in dialogues if d.split == "final"]
    blender.lost += [rejection(d, NAME, EXAM_SPLIT, "written from a document of the final exam") for d in exam]
    train = blender.blended(
        [d for d in dialogues if d.split in ("", "train")], "train", config.max_dialogues, config.max_tokens
    )
    if not train:
        raise StepError(f"{context.step}: no dialogue is left to train on")
    held_out = blender.blended(
        [d for d in dialogues if d.split == "dev"], "dev", config.validation_dialogues, float("inf")
    )
    context.output.table("kept", Dialogue, train)
    context.output.table("validation", Dialogue, held_out)
    context.output.table("rejected", Rejection, blender.lost)
    reasons = Counter(r.reason for r in blender.lost)
    read = len(dialogues) + len(repeats)
    return Counts(read=read, kept=len(train) + len(held_out), rejected=dict(sorted(reasons.items())))


STAGE = Stage(
    name=NAME,
    revision=2,
    summary="Blends the training set: balanced over tasks, closed-book and with retrieved passages.",
    config=Config,
    inputs={
        "dialogues": Input("pairs to blend", record=Dialogue),
        "passages": Input("passages of the documents", record=Passage),
        "index": Input("output of the index stage"),
        "embedder": Input("embedding model of the index", opens=EmbedderSource),
        "settings": Input("output of tune; the winner's settings of the blend replace those given", optional=True),
    },
    outputs={"kept": Dialogue, "validation": Dialogue, "rejected": Rejection},
    run=run,
    conserves=True,
)
