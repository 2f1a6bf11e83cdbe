"""Keeps the exam out of the training set: its documents, its questions, and copies of them, near ones and in other words."""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from pydantic import Field

from metier.config import StageConfig
from metier.execution.dataflow import map_table
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Question, Rejection, rejection
from metier.retrieval.embedding import Embedder, EmbedderSource
from metier.text.identifiers import identifiers, quotations
from metier.text.shingles import shingles
from metier.text.words import stem, wording

DOCUMENT, COPY = "exam_document", "exam_copy"
# With these tasks the names in a question settle what it asks, so two of one task and the same names are one question.
_SETTLED = frozenset({"purpose", "default", "type", "parameters", "returns", "module"})
_FUNCTION_WORDS = frozenset(
    """a an and are as at be by can do does for from give has have i if in into is it its me my of on or please that the
    there this to what when where which who will with would you""".split()  # noqa: SIM905
)


class Config(StageConfig):
    """What is too near to the exam. A question that names other things in code, or other numbers, is never a copy."""

    threshold: float = Field(0.6, gt=0, le=1)
    """Jaccard similarity of word shingles from which a question is a copy of an exam question."""
    containment: float = Field(0.8, gt=0, le=1)
    """Share of an exam question's shingles that a longer question holds, from which it is a copy with words around it."""
    same_names_threshold: float = Field(0.6, gt=0, le=1)
    """Shared words of two questions that name the same things, from which they are one question in other words."""
    same_meaning: float = Field(0.9, gt=0, le=1)
    """Cosine similarity of embeddings from which two questions without different names ask the same. Used where an embedder
    is given."""
    shingle_words: int = Field(3, ge=1, le=20)
    """Words in a shingle."""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A question, ready to be compared."""

    id: str
    task: str
    prompt: str
    plain: str
    names: frozenset[str]
    shingles: frozenset[int]
    words: frozenset[str]  # stems, without names and function words


def asked(text: str, task: str, words: int, id_: str = "") -> Asked:
    """A question taken apart."""
    names = identifiers(text) | {q for q in quotations(text) if " " in q}  # one quoted word is mostly a JSON key
    parts = {part for name in names for part in wording(name)}
    said = frozenset(stem(w) for w in wording(text) if w not in parts and w not in _FUNCTION_WORDS)
    return Asked(id_, task.removeprefix("json_"), text, " ".join(wording(text)), names,
                 frozenset(shingles(text, words).tolist()), said)  # fmt: skip


def unmatched(names: frozenset[str], others: frozenset[str]) -> set[str]:
    """Names without a counterpart; `Dataset.map` is one of `ray.data.Dataset.map`."""

    def same(a: str, b: str) -> bool:
        shorter, longer = sorted((a, b), key=len)
        return a == b or (longer.endswith("." + shorter) and bool(re.match(r"[a-z_]", shorter)))

    return {name for name in names if not any(same(name, other) for other in others)}


class Exam:
    """The exam's questions behind the two indices by which copies are found: their shingles, and the names in them."""

    def __init__(self, questions: Iterable[Question], config: Config) -> None:
        self._config = config
        self.roots: dict[str, tuple[str, set[str]]] = {}  # document -> one question about it, and all their splits
        self._asked: list[Asked] = []
        self._with_shingle: dict[int, list[int]] = {}
        self._with_names: dict[frozenset[str], list[int]] = {}
        for one in questions:
            self.roots.setdefault(one.root_id, (one.id, set()))[1].add(one.split)
            taken = asked(one.prompt, one.task, config.shingle_words, one.id)
            for shingle in taken.shingles:
                self._with_shingle.setdefault(shingle, []).append(len(self._asked))
            self._with_names.setdefault(_last_parts(taken.names), []).append(len(self._asked))
            self._asked.append(taken)

    def document_of(self, dialogue: Dialogue) -> str:
        """Why the dialogue's document is the exam's, in words; empty where it is not.

        Dev dialogues measure the validation loss and may share documents with the half that chooses the checkpoint.
        """
        question, splits = self.roots.get(dialogue.root_id, ("", set()))
        if not question or (dialogue.split == "dev" and splits == {"dev"}):
            return ""
        return f"exam question {question} asks about its document"

    def meant_by(self, questions: Sequence[str], tasks: Sequence[str], embedder: str) -> list[str]:
        """Which exam question each of these asks in other words, as far as embeddings tell; empty where none."""
        found = [""] * len(questions)
        if not questions or not self._asked:
            return found
        exam = _vectors(embedder, tuple(one.prompt for one in self._asked))
        alike = Embedder.cached(embedder).encode(questions) @ exam.T
        for row, place in zip(*np.nonzero(alike >= self._config.same_meaning), strict=True):
            own, other = asked(questions[row], tasks[row], self._config.shingle_words), self._asked[place]
            settled = {own.task, other.task} <= _SETTLED and own.task != other.task
            if not (settled or unmatched(own.names, other.names) or unmatched(other.names, own.names)):
                found[row] = f"means exam question {other.id} (cosine {alike[row, place]:.3f})"
        return found

    def copied_by(self, question: str, task: str = "") -> str:
        """Which exam question this one copies, in words; empty where it copies none."""
        own = asked(question, task, self._config.shingle_words)
        return self._near(own) or self._reworded(own)

    def _near(self, own: Asked) -> str:
        shared = collections.Counter(place for s in own.shingles for place in self._with_shingle.get(s, ()))
        for place, count in sorted(shared.items()):
            exam = self._asked[place]
            if own.plain == exam.plain:
                return f"is exam question {exam.id}"
            if unmatched(own.names, exam.names) and unmatched(exam.names, own.names):
                continue
            alike = count / (len(own.shingles) + len(exam.shingles) - count)
            if alike >= self._config.threshold:
                return f"copies exam question {exam.id} (Jaccard {alike:.3f})"
            held = count / len(exam.shingles)
            if held >= self._config.containment and not unmatched(exam.names, own.names):
                return f"contains exam question {exam.id} (share {held:.3f})"
        return ""

    def _reworded(self, own: Asked) -> str:
        for place in self._with_names.get(_last_parts(own.names), ()):
            exam = self._asked[place]
            if unmatched(own.names, exam.names) or unmatched(exam.names, own.names):
                continue
            if own.names and own.task == exam.task and own.task in _SETTLED:
                return f"asks for the {own.task} that exam question {exam.id} asks for"
            union = own.words | exam.words
            alike = len(own.words & exam.words) / len(union) if union else 1.0
            if alike >= self._config.same_names_threshold:
                return f"asks what exam question {exam.id} asks (shared words {alike:.3f})"
        return ""


def _last_parts(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name.rsplit(".", 1)[-1] if re.match(r"[a-z_]", name) else name for name in names)


@functools.cache
def _vectors(embedder: str, texts: tuple[str, ...]) -> np.ndarray:
    """The exam's questions as vectors, once a process. float32, shape (questions, dimensions)."""
    return Embedder.cached(embedder).encode(texts)


def operator(exam: Exam, embedder: str = "") -> Callable[[list[Dialogue]], Iterator[Dialogue | Rejection]]:
    """Each dialogue as it is, or rejected."""

    def fault(one: Dialogue) -> tuple[str, str] | None:
        found = ((DOCUMENT, exam.document_of(one)), (COPY, exam.copied_by(one.question, one.task)))
        return next(((reason, evidence) for reason, evidence in found if evidence), None)

    def apply(dialogues: list[Dialogue]) -> Iterator[Dialogue | Rejection]:
        faults = [fault(one) for one in dialogues]  # by place, not by id: a table may hold one id twice
        if embedder:
            left = [place for place, found in enumerate(faults) if not found]
            asked_for = [(dialogues[place].question, dialogues[place].task) for place in left]
            meant = exam.meant_by([q for q, _ in asked_for], [task for _, task in asked_for], embedder)
            for place, evidence in zip(left, meant, strict=True):
                faults[place] = (COPY, evidence) if evidence else None
        for one, found in zip(dialogues, faults, strict=True):
            yield rejection(one, "decontaminate", *found) if found else one

    return apply


def run(context: Context[Config]) -> Counts:
    """Writes kept and rejected dialogues."""
    exam = Exam(context.records("questions", Question), context.config)
    embedder = context.location("embedder") if context.has("embedder") else ""
    return map_table(context, "dialogues", Dialogue, operator(exam, embedder), Dialogue)


STAGE = Stage(
    name="decontaminate",
    revision=3,
    summary="Rejects dialogues that come from exam documents or copy exam questions.",
    config=Config,
    inputs={
        "dialogues": Input("dialogues", record=Dialogue),
        "questions": Input("exam questions", record=Question),
        "embedder": Input("embedding model, to find copies in other words", optional=True, opens=EmbedderSource),
    },
    outputs={"kept": Dialogue, "rejected": Rejection},
    run=run,
    conserves=True,
)
