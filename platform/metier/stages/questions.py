"""Writes the exam: questions derived from the dev and final documents, and those that people wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import Field

from metier.config import StageConfig
from metier.errors import InputError
from metier.evaluation.exam_file import read_exam
from metier.evaluation.questions import candidates, select
from metier.evaluation.vocabulary import vocabulary_of
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.lineage.source import PathSource
from metier.records import Document, Question, Slice, Split
from metier.retrieval.prompt import ABSTENTION


class PerSlice(StageConfig):
    """Questions derived for each slice, as far as the documents have them."""

    numeric: int = Field(20, ge=0, le=5000)
    """Numbers: defaults, figures in the text."""
    factual: int = Field(28, ge=0, le=5000)
    """Purposes, types, other defaults, returned values, dates."""
    usage: int = Field(22, ge=0, le=5000)
    """Which function, which parameter, which document."""
    format: int = Field(20, ge=0, le=5000)
    """Answers that must be JSON with given keys."""
    unanswerable: int = Field(15, ge=0, le=5000)
    """Plausible questions that no document answers."""

    def counts(self) -> Mapping[Slice, int]:
        """By slice."""
        return {"numeric": self.numeric, "factual": self.factual, "usage": self.usage, "format": self.format,
                "unanswerable": self.unanswerable}  # fmt: skip


class Config(StageConfig):
    """The size of the exam."""

    dev: PerSlice = PerSlice()
    """The half that picks the checkpoint."""
    final: PerSlice = PerSlice(numeric=20, factual=32, usage=25, format=25, unanswerable=20)
    """The half that decides; the hand-written questions come on top."""
    max_per_document: int = Field(3, ge=1, le=1000)
    """Most questions about one document in the derived part."""
    seed: int = Field(0, ge=0)
    """Another seed chooses and words other questions."""


def derived(documents: Iterator[Document], again: Iterator[Document], config: Config) -> list[Question]:
    """The derived questions of both halves. The documents are streamed twice: for their vocabulary, then one by one."""
    corpus = vocabulary_of(documents)
    found: dict[Split, list[Question]] = {"dev": [], "final": []}
    for document in again:
        if document.split in found:
            found[document.split] += candidates(document, corpus, ABSTENTION, config.seed)
    return [
        *select(found["dev"], config.dev.counts(), config.max_per_document, config.seed),
        *select(found["final"], config.final.counts(), config.max_per_document, config.seed),
    ]


def placed(written: list[Question], documents: Iterable[Document], file: str) -> list[Question]:
    """Written questions under the documents that they name, so that nothing written from these is trained on.

    Raises InputError when a question names a document that is not there.
    """
    named = {q.uri for q in written if q.uri}
    homes = {d.uri: d for d in documents if d.uri in named}
    for question in written:
        if question.uri and question.uri not in homes:
            raise InputError(f"{file}: no document is called {question.uri!r} (question {question.prompt[:60]!r})")
    return [
        dataclasses.replace(q, id="", root_id=homes[q.uri].root_id, parent_ids=(homes[q.uri].id,)) if q.uri else q
        for q in written
    ]


def run(context: Context[Config]) -> Counts:
    """Writes the table of questions. Raises InputError when neither the documents nor a file give any."""
    records = (context.records("documents", Document) for _ in range(2))
    questions = derived(next(records), next(records), context.config)
    written: list[Question] = []
    if context.has("written"):
        file = context.location("written")
        written = placed(read_exam(Path(file), ABSTENTION), context.records("documents", Document), file)
    prompts = {q.prompt.lower() for q in written}
    exam = [*(q for q in questions if q.prompt.lower() not in prompts), *written]
    if not any(q.split == "final" for q in exam):
        raise InputError(f"{context.step}: no question for the final exam: more documents, or an exam file, are needed")
    rows = context.output.table("kept", Question, exam)
    return Counts(read=len(exam), kept=rows)


STAGE = Stage(
    name="questions",
    revision=3,
    summary="Writes the exam from the dev and final documents, with ground truth, and adds the hand-written questions.",
    config=Config,
    inputs={
        "documents": Input("split documents", record=Document),
        "written": Input("questions written by hand (YAML)", optional=True, opens=PathSource),
    },
    outputs={"kept": Question},
    run=run,
)
