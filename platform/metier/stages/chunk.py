"""Cuts documents into passages for retrieval."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import Field

from metier.config import StageConfig
from metier.execution.dataflow import map_table
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Document, Passage, Rejection
from metier.retrieval.chunking import passages_of


class Config(StageConfig):
    """How long a passage may be."""

    max_words: int = Field(90, ge=20, le=2000)
    """Most words of a passage. Three of 90 leave a small model's prompt room for the question."""


def operator(config: Config) -> Callable[[list[Document]], Iterator[Passage | Rejection]]:
    """Gives the passages of each document."""

    def apply(documents: list[Document]) -> Iterator[Passage | Rejection]:
        for document in documents:
            yield from passages_of(document, config.max_words)

    return apply


def run(context: Context[Config]) -> Counts:
    """Cuts the table `documents`."""
    return map_table(context, "documents", Document, operator(context.config), Passage)


STAGE = Stage(
    name="chunk",
    revision=2,
    summary="Cuts documents into short passages that stand alone.",
    config=Config,
    inputs={"documents": Input("documents to cut", record=Document)},
    outputs={"kept": Passage, "rejected": Rejection},
    run=run,
)
