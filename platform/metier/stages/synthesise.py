"""Writes training dialogues from documents: structured ones from what a document states, and a teacher model's.

Only documents of the train and dev splits are written from, and only train passages reach the teacher. Pairs are
closed-book here; `blend` puts passages into prompts. Whether a teacher's answer is grounded is judged by `filter`.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field, field_validator

from metier.config import StageConfig
from metier.errors import InputError, StepError
from metier.execution.dataflow import Operator, rows_in, stream, write_outcome
from metier.execution.generation import generate
from metier.execution.step import Context, Input, Stage
from metier.inference.engines import EngineConfig, HttpEngine, VllmEngine
from metier.inference.protocol import Request, Response
from metier.inference.templates import Template, template
from metier.lineage.manifest import Counts
from metier.models import ModelSource
from metier.records import Dialogue, Document, Message, Passage, Rejection, rejection
from metier.retrieval.prompt import ABSTENTION
from metier.text.authoring import Corpus, Recipe, corpus_of, pairs_of
from metier.text.phrasings import Chooser, Pair
from metier.text.sections import sentences, words
from metier.text.words import content_words, stem

NAME = "synthesise"
SPLITS = ("train", "dev")
MIN_ANSWER_WORDS, MAX_ANSWER_WORDS = 5, 40
MIN_SHARED_WORDS = 2
MAX_FAILED = 0.1  # share of requests to the teacher; more is a broken teacher, and a run that goes on would hide it
# what a passage's line begins with: `name(signature): `, "- `name` (type): ", "name returns: ", "Parameter `x` of y (type): "
_HEAD = re.compile(r"^(- |Parameter )?`?[\w.*]+`?( of [\w.]+)?( ?\(.*?\)| returns)?: ((Note|Warning): )?")
_CODE = re.compile(r"`[^`]+`|\b\w+(?:[._]\w+)+")  # names as code writes them: `x`, a.b, a_b


class Teacher(StageConfig):
    """The model that writes pairs from passages."""

    pairs: int = Field(40, ge=0, le=100_000)
    """Passages that it is asked about; each gives one pair at most. 0: no teacher."""
    engine: EngineConfig = Field(default_factory=VllmEngine)
    """What runs it."""
    template: str = "sentence-question"
    """How it is asked: sentence-question gives a sentence of the passage as the answer and asks for the question;
    passage-question asks for both, for larger teachers. Settled as name@digest of its words."""
    max_tokens: int = Field(64, ge=16, le=4096)
    """Longest answer, in tokens."""
    temperature: float = Field(0.0, ge=0, le=2)
    """0: the likeliest answer, always the same."""

    @field_validator("template")
    @classmethod
    def _settled(cls, name: str) -> str:
        return template(name).settled


class Config(StageConfig):
    """How many dialogues of what kind are written."""

    seed: int = Field(0, ge=0, le=2**31)
    """Chooses wordings, styles and what is asked."""
    max_per_document: int = Field(12, ge=0, le=1000)
    """Answerable dialogues from one document, its kinds of facts taking turns."""
    unanswerable_per_document: int = Field(1, ge=0, le=20)
    """Questions about an API object that its document does not answer: an absent parameter, object or property."""
    difference_share: float = Field(0.25, ge=0, le=1)
    """Share of API objects that are set against another of the same class or module."""
    json_share: float = Field(0.25, ge=0, le=1)
    """Share of the facts that can be asked for as JSON which are."""
    value_share: float = Field(0.3, ge=0, le=1)
    """Share of the facts that can be asked for as a bare value which are."""
    teacher: Teacher = Field(default_factory=Teacher)
    """The second generator."""


def structured(config: Config, corpus: Corpus) -> Operator[Document, Dialogue]:
    """Dialogues from what documents state; documents of other splits give none."""
    choose = Chooser(config.seed)
    recipe = Recipe(
        max_per_document=config.max_per_document,
        unanswerable_per_document=config.unanswerable_per_document,
        difference_share=config.difference_share,
        json_share=config.json_share,
        value_share=config.value_share,
        abstention=ABSTENTION,
    )

    def apply(documents: list[Document]) -> Iterator[Dialogue | Rejection]:
        for document in documents:
            if document.split in SPLITS:
                for pair in pairs_of(document, recipe, corpus, choose):
                    yield _dialogue(document, pair, "structured")

    return apply


def _dialogue(parent: Document | Passage, pair: Pair, source: Literal["structured", "teacher"]) -> Dialogue:
    return parent.derive(
        Dialogue,
        messages=(Message(role="user", content=pair.question), Message(role="assistant", content=pair.answer)),
        task=pair.task,
        source=source,
        split=parent.split,
        evidence=pair.evidence,
        effective=parent.effective,
        superseded=parent.superseded,
    )


def taught(context: Context[Config]) -> Iterator[Dialogue | Rejection]:
    """One pair from each sampled train passage, by the teacher; a rejection for each reply that gives none."""
    teacher, choose = context.config.teacher, Chooser(context.config.seed)
    passages = {p.id: p for p in sampled(context.records("passages", Passage), teacher.pairs, choose)}
    if not passages:
        return
    ask = template(teacher.template)
    requests = [
        Request(
            p.id, ask.messages(p.text, given_sentence(p, choose)), teacher.max_tokens, teacher.temperature, choose.seed
        )
        for p in passages.values()
    ]
    replies = list(generate(requests, teacher.engine, _model(context), context.resources, context.progress))
    failed = [r for r in replies if r.error]
    if len(failed) > MAX_FAILED * len(requests):
        raise StepError(f"{context.step}: {len(failed)} of {len(requests)} replies failed, first: {failed[0].error}")
    for reply in sorted(replies, key=lambda r: r.id):  # the order in which they arrive is nobody's choice
        yield pair_from(passages[reply.id], reply, ask, choose)


def sampled(passages: Iterable[Passage], count: int, choose: Chooser) -> list[Passage]:
    """The `count` train passages of the lowest hashes: the same ones in whatever order they come."""
    fit = (p for p in passages if p.split == "train" and "```" not in p.text and _sentences(p))
    return heapq.nsmallest(count, fit, key=lambda p: (choose.number("teacher", p.id), p.id))


def given_sentence(passage: Passage, choose: Chooser) -> str:
    """The sentence of the passage that is to be the answer."""
    return choose.of(_sentences(passage), "sentence", passage.id)


def _sentences(passage: Passage) -> list[str]:
    """What can stand as an answer: whole sentences of prose, without the head that a line begins with."""
    found = [s for line in passage.text.split("\n") for s in sentences(_HEAD.sub("", line))]
    return [s for s in found if MIN_ANSWER_WORDS <= words(s) <= MAX_ANSWER_WORDS and s[0].isupper() and s.endswith(".")]


def pair_from(passage: Passage, reply: Response, ask: Template, choose: Chooser) -> Dialogue | Rejection:
    """The teacher's reply as a dialogue, or why it gives none."""
    if reply.error:
        return rejection(passage, NAME, "engine_error", reply.error)
    parts = ask.parsed(reply.text)
    if parts is None:
        return rejection(passage, NAME, "unparsable", reply.text)
    question, answer = parts["question"], parts.get("answer") or given_sentence(passage, choose)
    if answer.rstrip(".") in question:
        return rejection(passage, NAME, "answer_in_question", reply.text)
    strangers = [name for name in _CODE.findall(f"{question} {answer}") if name.strip("`()") not in passage.text]
    if strangers:
        return rejection(passage, NAME, "unknown_name", f"{strangers[0]} is not in the passage: {reply.text}")
    shared = {stem(w) for w in content_words(question, ())} & {stem(w) for w in content_words(answer, ())}
    if len(shared) < MIN_SHARED_WORDS:
        return rejection(passage, NAME, "off_topic", f"{question} | {answer}")
    if passage.title not in question:  # alone, nobody could say what the question is about
        question = f"About `{passage.title}`: {question}"
    return _dialogue(passage, Pair(question, answer, "teacher", passage.text), "teacher")


def _model(context: Context[Config]) -> str:
    if context.has("model"):
        return context.location("model")
    if isinstance(context.config.teacher.engine, HttpEngine):
        return ""  # the endpoint names its own
    raise InputError(f"{context.step}: teacher.pairs needs a model: give --model, an http engine, or teacher.pairs=0")


def run(context: Context[Config]) -> Counts:
    """Writes the structured pairs as they come, then the teacher's."""
    if context.config.teacher.pairs:
        _model(context)  # refused before anything is written
    corpus = corpus_of(context.records("documents", Document))

    def written() -> Iterator[Dialogue | Rejection]:
        yield from stream(context, "documents", Document, structured(context.config, corpus), Dialogue)
        if context.config.teacher.pairs:
            yield from taught(context)

    return write_outcome(context, written(), Dialogue, rows_in(context, "documents"))


STAGE = Stage(
    name=NAME,
    revision=1,
    summary="Writes dialogues from documents: structured ones, and a teacher model's",
    config=Config,
    inputs={
        "documents": Input("split documents", Document),
        "passages": Input("passages for the teacher", Passage),
        "model": Input("the teacher: a name, folder or hub id", optional=True, opens=ModelSource),
    },
    outputs={"kept": Dialogue, "rejected": Rejection},
    run=run,
)
