"""A table's pieces, each written by whoever worked on it: two shards, of what is kept and of what is rejected."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from metier.execution.step import Context
from metier.lineage.artifact import Shard
from metier.lineage.manifest import Counts
from metier.lineage.shards import joined, to_table, write_shard
from metier.records import Record, Rejection


class Written(NamedTuple):
    """What came of a piece: all that the driver learns of it."""

    read: int
    kept: Shard
    rejected: Shard
    reasons: dict[str, int]


def write_piece(
    folder: Path, number: int | None, read: int, kind: type[Record], kept: pa.Table, rejected: Sequence[Rejection]
) -> Written:
    """Writes the rows that stay, which are of `kind`, and those that do not, of `read` rows.

    `number`: of the piece; a table of one piece has none, and is written as one file.
    """
    return Written(
        read,
        write_shard(folder, "kept", number, kind, kept),
        write_shard(folder, "rejected", number, Rejection, to_table(Rejection, rejected)),
        collections.Counter(one.reason for one in rejected),
    )


def numbers_of(pieces: Sequence[Any]) -> Sequence[int | None]:
    """The numbers of the pieces' shards."""
    return [None] if len(pieces) == 1 else range(len(pieces))


def gathered(context: Context[Any], sizes: Sequence[int], written: Iterable[Written], *, join: bool) -> Counts:
    """Takes the shards of all pieces into the artifact. `sizes`: rows of each piece, to tell how far it is.

    `join`: small shards become one file, which is easier to look at.
    """
    made, done = list[Written](), 0
    for size, one in zip(sizes, written, strict=True):
        made.append(one)
        done += size
        context.progress(done, sum(sizes), "rows")
    kept, rejected = [one.kept for one in made], [one.rejected for one in made]
    for shards in (kept, rejected):
        for shard in joined(context.output.folder, shards) if join else shards:
            context.output.add(shard)
    reasons = sum((collections.Counter(one.reasons) for one in made), collections.Counter[str]())
    rows = sum(shard.rows for shard in kept)
    return Counts(read=sum(one.read for one in made), kept=rows, rejected=dict(sorted(reasons.items())))
