"""Keeps the exam out of the training set: its documents, its questions, and near-copies of its questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from pydantic import Field

from metier.config import StageConfig
from metier.execution.dataflow import map_table
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Question, Rejection, rejection
from metier.text.similarity import identifiers, jaccard, shingles
from metier.text.words import content_words, stem

DOCUMENT, COPY = "exam_document", "exam_copy"


class Config(StageConfig):
    """What is too near to the exam."""

    threshold: float = Field(0.6, gt=0, le=1)
    """Jaccard similarity of word shingles from which a question is a copy of an exam question."""
    same_names_threshold: float = Field(0.5, gt=0, le=1)
    """The same for the content words of two questions that name the same things in code: other words, one question."""
    shingle_words: int = Field(3, ge=1, le=20)
    """Words in a shingle."""


class Exam:
    """The exam's questions, ready to be compared with."""

    def __init__(self, questions: Iterable[Question], config: Config) -> None:
        self._config = config
        self.roots: dict[str, str] = {}
        self._names: dict[frozenset[str], list[tuple[Question, np.ndarray, set[str]]]] = {}
        for one in questions:
            if one.written_by == "derived":
                self.roots.setdefault(one.root_id, one.id)
            row = (one, shingles(one.prompt, config.shingle_words), _stems(one.prompt))
            self._names.setdefault(identifiers(one.prompt), []).append(row)

    def copied_by(self, question: str) -> str:
        """Which exam question this one copies, in words; empty where it copies none.

        Questions that name other things in code, or other numbers, are other questions, however alike they are worded.
        """
        own, words = shingles(question, self._config.shingle_words), _stems(question)
        for exam, theirs, their_words in self._names.get(identifiers(question), []):
            alike = jaccard(own, theirs)
            if alike >= self._config.threshold:
                return f"copies exam question {exam.id} (similarity {alike:.3f})"
            union = words | their_words
            shared = len(words & their_words) / len(union) if union else 0.0
            if shared >= self._config.same_names_threshold:
                return f"asks what exam question {exam.id} asks (shared words {shared:.3f})"
        return ""


def _stems(text: str) -> set[str]:
    return {stem(w) for w in content_words(text)}


def operator(exam: Exam) -> Callable[[list[Dialogue]], Iterator[Dialogue | Rejection]]:
    """Each dialogue as it is, or rejected. Dialogues of dev documents measure the validation loss, so those may stay."""

    def apply(dialogues: list[Dialogue]) -> Iterator[Dialogue | Rejection]:
        for one in dialogues:
            if one.split != "dev" and one.root_id in exam.roots:
                evidence = f"its document is asked about by exam question {exam.roots[one.root_id]}"
                yield rejection(one, "decontaminate", DOCUMENT, evidence)
                continue
            copied = exam.copied_by(one.question)
            yield rejection(one, "decontaminate", COPY, copied) if copied else one

    return apply


def run(context: Context[Config]) -> Counts:
    """Writes kept and rejected dialogues."""
    exam = Exam(context.records("questions", Question), context.config)
    return map_table(context, "dialogues", Dialogue, operator(exam), Dialogue)


STAGE = Stage(
    name="decontaminate",
    revision=1,
    summary="Rejects dialogues that come from exam documents or copy exam questions.",
    config=Config,
    inputs={
        "dialogues": Input("dialogues", record=Dialogue),
        "questions": Input("exam questions", record=Question),
    },
    outputs={"kept": Dialogue, "rejected": Rejection},
    run=run,
    conserves=True,
)
