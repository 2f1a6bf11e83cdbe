"""Writes a table again, in parallel, chunk by chunk: what a join over the whole table decided, such as which rows go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from metier.execution.pieces import Written, gathered, numbers_of, write_piece
from metier.execution.step import Context
from metier.execution.tasks import Handle, Tasks
from metier.lineage.manifest import Counts
from metier.lineage.shards import Chunk, from_table, read_chunk
from metier.records import Record, rejection


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
    written = [
        tasks.call(_written, folder, number, stage, chunk, kind, removed)
        for number, chunk in zip(numbers_of(chunks), chunks, strict=True)
    ]
    return gathered(context, [chunk.rows for chunk in chunks], tasks.results(written), join=False)


def _written(
    folder: Path, number: int | None, stage: str, chunk: Chunk, kind: type[Record], removed: pa.Table
) -> Written:
    table, places = read_chunk(chunk), removed["row"].to_numpy()
    first, last = np.searchsorted(places, (chunk.first, chunk.first + chunk.rows))
    keep = np.ones(chunk.rows, bool)
    keep[places[first:last] - chunk.first] = False
    gone = from_table(kind, table.filter(pa.array(~keep)))
    why = removed.slice(first, last - first).select(["reason", "evidence"]).to_pylist()
    rejected = [rejection(record, stage, **said) for record, said in zip(gone, why, strict=True)]
    return write_piece(folder, number, chunk.rows, kind, table.filter(pa.array(keep)), rejected)
