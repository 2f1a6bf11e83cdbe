"""Splits documents into train, dev and final, before anything is written from them.

A document's place follows from a seeded hash of what it says, or of its name: nothing that is added later moves it.
Documents with the same wording (parallel methods of two classes, copies of a page) and those of one cluster of
near-duplicates fall on the same side, so that no exam question can be answered from a twin that was trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from pydantic import Field, model_validator

from metier.config import StageConfig
from metier.execution.dataflow import map_table
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Document, Rejection, Split
from metier.stages.deduplicate import Sibling
from metier.text.words import wording

SHORT = 4  # words; what is shorter says too little to make twins of all that say it, and goes by its name


class Config(StageConfig):
    """How many documents go where."""

    train_fraction: float = Field(0.6, gt=0, lt=1)
    """Share of the documents that pairs are written from."""
    dev_fraction: float = Field(0.15, gt=0, lt=1)
    """Share for the exam that picks the checkpoint. The rest is the final exam's."""
    seed: int = Field(0, ge=0)
    """Another seed deals the documents anew."""

    @model_validator(mode="after")
    def _room(self) -> Config:
        if self.train_fraction + self.dev_fraction > 0.95:
            raise ValueError("train_fraction and dev_fraction must leave at least 0.05 for the final exam")
        return self


def split_of(document: Document, config: Config, cluster: str = "") -> Split:
    """The side of a document, or of the cluster that it is in: train, dev or final."""
    family = cluster or family_of(document)
    drawn = int.from_bytes(hashlib.blake2b(f"{config.seed}\0{family}".encode(), digest_size=8).digest(), "big") / 2**64
    if drawn < config.train_fraction:
        return "train"
    return "dev" if drawn < config.train_fraction + config.dev_fraction else "final"


def family_of(document: Document) -> str:
    """What twins share: an API object's summary (parallel objects repeat it), or a page's whole wording."""
    text = document.api.summary if document.api else document.text
    words = wording(text)
    return " ".join(words) if len(words) >= SHORT else document.uri


def operator(config: Config, cluster_of: dict[str, str]) -> Callable[[list[Document]], Iterator[Document | Rejection]]:
    """Writes the side into each document. `cluster_of`: of those that are in one, by id."""

    def apply(documents: list[Document]) -> Iterator[Document | Rejection]:
        for document in documents:
            yield document.derive(Document, split=split_of(document, config, cluster_of.get(document.id, "")))

    return apply


def run(context: Context[Config]) -> Counts:
    """Splits the table `documents`."""
    siblings = context.records("clusters", Sibling) if context.has("clusters") else ()
    cluster_of = {one.sibling: one.cluster for one in siblings}
    return map_table(context, "documents", Document, operator(context.config, cluster_of), Document)


STAGE = Stage(
    name="split",
    revision=1,
    summary="Deals documents into train, dev and final; twins stay together.",
    config=Config,
    inputs={
        "documents": Input("documents to split", record=Document),
        "clusters": Input(
            "near-duplicates that all stayed (an output of deduplicate_documents)", Sibling, "clusters", optional=True
        ),
    },
    outputs={"kept": Document, "rejected": Rejection},
    run=run,
    conserves=True,
)
