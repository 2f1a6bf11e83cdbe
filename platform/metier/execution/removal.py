"""Writes a table again without some of its rows, in parallel: what a join over the whole table decided."""

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
    rows = sum(chunk.rows for chunk in chunks)
    numbers: Sequence[int | None] = [None] if len(chunks) == 1 else range(len(chunks))
    folder, stage = context.output.folder, context.stage.name
    written = [
        tasks.call(_written, folder, number, stage, chunk, kind, removed)
        for number, chunk in zip(numbers, chunks, strict=True)
    ]
    reasons: collections.Counter[str] = collections.Counter()
    for chunk, (shards, found) in zip(chunks, tasks.results(written), strict=True):
        reasons.update(found)
        for shard in shards:
            context.output.add(shard)
        context.progress(chunk.first + chunk.rows - chunks[0].first, rows, "rows")
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
