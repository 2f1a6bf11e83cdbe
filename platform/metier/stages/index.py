"""Builds the passage index that training, the exam and serving search.

Passages are dealt into parts by their ids; each part is sorted and embedded by itself, and written when it is there. So the
index holds the same rows in the same order however the passages come.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from metier.config import StageConfig
from metier.execution.dataflow import chunks_of, tasks_for
from metier.execution.step import Context, Input, Stage
from metier.lineage.fingerprint import digest
from metier.lineage.manifest import Counts
from metier.lineage.shards import Chunk, from_table, read_chunk
from metier.records import Passage
from metier.retrieval.embedding import Embedder, EmbedderSource
from metier.retrieval.index import build, rows_of

FOLDER = "index"
PART_ROWS = 4096  # about; some 15 MB with their vectors


class Config(StageConfig):
    """Nothing to settle: the passages and the embedder decide."""


def dealt(chunk: Chunk, parts: int) -> tuple[pa.Table, ...]:
    """A chunk's passages, for each part its own."""
    table = read_chunk(chunk)
    part_of = np.array([zlib.crc32(one.encode()) % parts for one in table["id"].to_pylist()], int)
    return tuple(table.take(pa.array(np.flatnonzero(part_of == part))) for part in range(parts))


def embedded(location: str, *tables: pa.Table) -> pa.Table:
    """The rows of a part; `location` of the embedder."""
    passages = [passage for table in tables for passage in from_table(Passage, table)]
    return rows_of(passages, Embedder.cached(location))


def run(context: Context[Config]) -> Counts:
    """Embeds every passage and writes the index. Its files differ from build to build; its content does not."""
    chunks, location = chunks_of(context, "passages"), context.location("embedder")
    tasks = tasks_for(context, chunks)
    number = sum(chunk.rows for chunk in chunks)
    parts = -(-number // PART_ROWS)
    context.progress(0, number, "passages")

    def made() -> Iterator[pa.Table]:
        own = [tasks.call(dealt, chunk, parts, parts=parts) for chunk in chunks]
        ready = [tasks.call(embedded, location, *(chunk[part] for chunk in own)) for part in range(parts)]
        done = 0
        for rows in tasks.results(ready):
            yield rows
            done += rows.num_rows
            context.progress(done, number, "passages")

    build(made() if number else (), context.output.path(FOLDER))
    context.output.content(FOLDER, digest([context.fingerprint("passages"), context.fingerprint("embedder")]))
    return Counts(read=number, kept=number)


STAGE = Stage(
    name="index",
    revision=2,
    summary="Builds the passage index (LanceDB: vectors and full text).",
    config=Config,
    inputs={
        "passages": Input("passages to be found", record=Passage),
        "embedder": Input("embedding model: a name, a folder or a hub id", opens=EmbedderSource),
    },
    outputs={FOLDER: "the LanceDB folder"},
    run=run,
)
