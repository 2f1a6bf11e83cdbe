"""Builds the passage index that training, the exam and serving search."""

from __future__ import annotations

from metier.config import StageConfig
from metier.execution.step import Context, Input, Stage
from metier.lineage.fingerprint import digest
from metier.lineage.manifest import Counts
from metier.records import Passage
from metier.retrieval.embedding import Embedder, EmbedderSource
from metier.retrieval.index import build

FOLDER = "index"


class Config(StageConfig):
    """Nothing to settle: the passages and the embedder decide."""


def run(context: Context[Config]) -> Counts:
    """Embeds every passage and writes the index. Its files differ from build to build; its content does not."""
    embedder = Embedder(context.location("embedder"))
    passages = list(context.records("passages", Passage))
    context.progress(0, len(passages), "passages")
    rows = build(passages, embedder, context.output.path(FOLDER))
    context.output.content(FOLDER, digest([context.fingerprint("passages"), context.fingerprint("embedder")]))
    return Counts(read=rows, kept=rows)


STAGE = Stage(
    name="index",
    revision=1,
    summary="Builds the passage index (LanceDB: vectors and full text).",
    config=Config,
    inputs={
        "passages": Input("passages to be found", record=Passage),
        "embedder": Input("embedding model: a name, a folder or a hub id", opens=EmbedderSource),
    },
    outputs={FOLDER: "the LanceDB folder"},
    run=run,
)
