"""Writes a table again, in parallel, chunk by chunk: what a join over the whole table decided, such as which rows go."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from metier.execution.step import Context
from metier.execution.tasks import Handle, Tasks
from metier.lineage.artifact import Shard
from metier.lineage.manifest import Counts
from metier.lineage.shards import Chunk, from_table, read_chunk, to_table, write_shard
from metier.records import Record, Rejection, rejection


def in_order(*removed: pa.Table) -> pa.Table:
    """Removals from several workers, in the order of the table."""
    return pa.concat_tables(removed).sort_by("row").combine_chunks()


def write_removal(
    context: Context[Any], tasks: Tasks, chunks: Sequence[Chunk], kind: type[Record], removed: Handle
) -> Counts:
    """Writes each chunk's rows, kept or rejected, in their order.

    `removed`: an Arrow table of `row` (its number in the whole table, rising), `reason` and `evidence`, one line a row.
    """
    folder, stage = context.output.folder, context.stage.name
    written = [tasks.call(_written, folder, n, stage, chunk, kind, removed) for n, chunk in numbered(chunks)]
    return gathered(context, tasks, chunks, written)


def numbered(chunks: Sequence[Chunk]) -> list[tuple[int | None, Chunk]]:
    """Each chunk with the number of the part of a table that it is written as; a single one is the whole table."""
    return [(None, chunks[0])] if len(chunks) == 1 else list(enumerate(chunks))


def gathered(context: Context[Any], tasks: Tasks, chunks: Sequence[Chunk], written: Sequence[Handle]) -> Counts:
    """Takes in what was written of each chunk: its shards, and how many of its rows were rejected for which reason."""
    rows = sum(chunk.rows for chunk in chunks)
    reasons: collections.Counter[str] = collections.Counter()
    for chunk, (shards, found) in zip(chunks, tasks.results(written), strict=True):
        reasons.update(found)
        for shard in shards:
            context.output.add(shard)
        context.progress(chunk.first + chunk.rows, rows, "rows")
    return Counts(read=rows, kept=rows - reasons.total(), rejected=dict(sorted(reasons.items())))


def _written(folder: Path, number: int | None, stage: str, chunk: Chunk, kind: type[Record], removed: pa.Table,
             ) -> tuple[list[Shard], dict[str, int]]:  # fmt: skip
    """A chunk's two shards, and how many rows were rejected for which reason."""
    table, places = read_chunk(chunk), removed["row"].to_numpy()
    first, last = np.searchsorted(places, (chunk.first, chunk.first + chunk.rows))
    keep = np.ones(chunk.rows, bool)
    keep[places[first:last] - chunk.first] = False
    gone = from_table(kind, table.filter(pa.array(~keep)))
    why = removed.slice(first, last - first).select(["reason", "evidence"]).to_pylist()
    rejected = [rejection(record, stage, **said) for record, said in zip(gone, why, strict=True)]
    shards = [write_shard(folder, "kept", number, kind, table.filter(pa.array(keep))),
              write_shard(folder, "rejected", number, Rejection, to_table(Rejection, rejected))]  # fmt: skip
    return shards, collections.Counter(r.reason for r in rejected)
