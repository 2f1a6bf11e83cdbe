"""Writes training dialogues from documents: structured ones from what a document states, and a teacher model's.

Only documents of the train and dev splits are written from, and only train passages reach the teacher. Pairs are
closed-book here; `blend` puts passages into prompts. Whether a teacher's answer is grounded is judged by `filter`.
"""

from __future__ import annotations

import heapq
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import Field, field_validator

from metier.config import StageConfig
from metier.errors import InputError
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
from metier.text.facts import Fact, facts_of
from metier.text.phrasings import Chooser, Pair, absent_question, difference_pair, pair_of, styles_of, which_pair
from metier.text.sections import sentences, words

NAME = "synthesise"
SPLITS = ("train", "dev")
# Kinds take turns in this order until a document has its share. Defaults and purposes, which users ask most, come twice.
TURNS = ("purpose", "default", "which", "parameter", "type", "returns", "default", "parameters", "number", "example",
         "purpose", "date", "module")  # fmt: skip
MAX_EXAMPLE_WORDS = 60
MAX_LISTED = 12
MIN_WHICH_WORDS = 4
SIBLINGS_KEPT = 50
MIN_ANSWER_WORDS, MAX_ANSWER_WORDS = 5, 40
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


@dataclass
class Corpus:
    """What one document's questions must know of the others. Names only, bounded by API objects, not by their text."""

    names: set[str] = field(default_factory=set)
    parameters: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # by module
    purposes: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # how many objects have the same one
    siblings: dict[tuple[str, str], list[Fact]] = field(default_factory=lambda: defaultdict(list))  # by split, parent


def corpus_of(documents: Iterable[Document]) -> Corpus:
    """Gathers names from all splits (so that what is called absent is absent) and purposes from each split by itself."""
    found = Corpus()
    for document in documents:
        api = document.api
        if api is None:
            continue
        found.names.add(api.name)
        found.parameters[document.module] |= {p.name for p in api.parameters if not p.name.startswith(("*", "_"))}
        purpose = next((f for f in facts_of(document) if f.kind == "purpose"), None)
        if purpose:
            found.purposes[purpose.value] += 1
            siblings = found.siblings[document.split, _parent(api.name)]
            if len(siblings) < SIBLINGS_KEPT:
                siblings.append(purpose)
    return found


def structured(config: Config, corpus: Corpus) -> Operator[Document, Dialogue]:
    """Dialogues from what documents state; documents of other splits give none."""
    choose = Chooser(config.seed)

    def apply(documents: list[Document]) -> Iterator[Dialogue | Rejection]:
        for document in documents:
            if document.split in SPLITS:
                yield from _dialogues(document, config, corpus, choose)

    return apply


def _dialogues(document: Document, config: Config, corpus: Corpus, choose: Chooser) -> Iterator[Dialogue]:
    facts = facts_of(document)
    pairs = _in_turns(_by_kind(document, facts, config, corpus, choose), config.max_per_document)
    if document.api:
        pairs += _differences(document, facts, config, corpus, choose)
        pairs += _unanswerable(document, config, corpus, choose)
    asked = set[str]()
    for pair in pairs:
        if pair.question not in asked:
            asked.add(pair.question)
            yield _dialogue(document, pair, "structured")


def _by_kind(
    document: Document, facts: Sequence[Fact], config: Config, corpus: Corpus, choose: Chooser
) -> dict[str, list[Pair]]:
    """Pairs by kind in the order in which they are taken: defaults other than None first, else as the hash says."""
    ordered = sorted(facts, key=lambda f: (f.kind == "default" and f.value == "None", choose.number(*_key(f), "order")))
    found: dict[str, list[Pair]] = defaultdict(list)
    for fact in ordered:
        if not _worth_asking(fact):
            continue
        styles = list(styles_of(fact))
        styles = [s for s in styles if s == "sentence" or choose.share(*_key(fact), s) < _share(config, s)]
        found[fact.kind].append(pair_of(fact, styles[-1], choose, prose=document.api is None))
        unique = fact.kind == "purpose" and corpus.purposes[fact.value] == 1
        if unique and document.api and len(fact.value.split()) >= MIN_WHICH_WORDS:
            found["which"].append(which_pair(fact, document.module, choose))
    return found


def _key(fact: Fact) -> tuple[str, str, str]:
    return fact.subject, fact.kind, fact.detail


def _share(config: Config, style: str) -> float:
    return config.json_share if style == "json" else config.value_share


def _worth_asking(fact: Fact) -> bool:
    """Leaves out what a short prompt can't hold, and `kind`, which no passage states."""
    if fact.kind == "example":
        return len(fact.value.split()) <= MAX_EXAMPLE_WORDS
    if fact.kind == "parameters":
        return len(fact.value.split(", ")) <= MAX_LISTED
    return fact.kind != "kind"


def _in_turns(by_kind: dict[str, list[Pair]], most: int) -> list[Pair]:
    """One pair of a kind after the other, until there are `most` or none is left."""
    waiting = {kind: list(reversed(pairs)) for kind, pairs in by_kind.items()}
    taken: list[Pair] = []
    while len(taken) < most and any(waiting.values()):
        for kind in TURNS:
            if waiting.get(kind) and len(taken) < most:
                taken.append(waiting[kind].pop())
    return taken


def _differences(
    document: Document, facts: Sequence[Fact], config: Config, corpus: Corpus, choose: Chooser
) -> list[Pair]:
    """The object beside one of its siblings, of the same split, with another purpose."""
    purpose = next((f for f in facts if f.kind == "purpose"), None)
    if purpose is None or choose.share(purpose.subject, "difference") >= config.difference_share:
        return []
    siblings = corpus.siblings.get((document.split, _parent(purpose.subject)), [])
    others = sorted((f for f in siblings if f.value != purpose.value), key=lambda f: f.subject)
    if not others:
        return []
    return [difference_pair(purpose, choose.of(others, purpose.subject, "sibling"), choose)]


def _unanswerable(document: Document, config: Config, corpus: Corpus, choose: Chooser) -> list[Pair]:
    """Questions that look like the others and that no document answers: an absent parameter, object or property."""
    assert document.api is not None
    subject, module = document.api.name, document.module
    own = {p.name for p in document.api.parameters}
    absent = sorted(p for p in corpus.parameters.get(module, ()) if p not in own and p not in document.text)
    pairs = []
    for i in range(config.unanswerable_per_document):
        turn = choose.number(subject, "unanswerable", str(i)) % 5
        parameter = choose.of(absent, subject, "absent", str(i)) if absent and turn != 0 else ""
        asked = _absent_object(subject, corpus, choose, str(i)) if turn == 1 else subject
        pairs.append(Pair(absent_question(asked, parameter, choose), ABSTENTION, "unanswerable", ""))
    return pairs


def _absent_object(subject: str, corpus: Corpus, choose: Chooser, *key: str) -> str:
    """A name that looks right and is nowhere: this parent with another object's last part."""
    parent = _parent(subject)
    last = sorted({n.rsplit(".", 1)[-1] for n in corpus.names})
    made = f"{parent}.{choose.of(last, subject, 'absent object', *key)}"
    return made if made not in corpus.names else f"{parent}.{subject.rsplit('.', 1)[-1]}_async"


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _dialogue(parent: Document | Passage, pair: Pair, source: str) -> Dialogue:
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
    replies = generate(requests, teacher.engine, _model(context), context.resources, context.progress)
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
    lines = [re.sub(r"^(- )?`?[\w.*]+`?( \(.*?\)| returns)?(\(.*\))?: ", "", line) for line in passage.text.split("\n")]
    found = [s for line in lines for s in sentences(line)]
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
