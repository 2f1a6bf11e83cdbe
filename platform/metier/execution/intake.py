"""A user's own table as an artifact: read here where it is small, else by workers, slice by slice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from metier.errors import InputError
from metier.execution.tasks import Here, OnCluster, Tasks
from metier.lineage.artifact import Artifact, Shard, Writer
from metier.lineage.manifest import Counts
from metier.lineage.plain import Slice, records_in, slices_of
from metier.lineage.shards import write_records
from metier.records import Record

R = TypeVar("R", bound=Record)


def taken_in(kind: type[Record], path: Path, folder: Path, table: str, start: Callable[[], None]) -> Artifact:
    """The artifact in `folder`, whose table `table` holds the records of the file at `path`.

    `start` is called where a cluster is needed. Raises InputError for a row that is no such record, and for an empty table.
    """
    slices, writer = slices_of(kind, path), Writer(folder)
    tasks: Tasks = Here()
    if len(slices) > 1:
        start()
        tasks = OnCluster(cpus=1)
    numbers = range(len(slices)) if len(slices) > 1 else [None] * len(slices)
    shards = [tasks.call(_copied, kind, part, folder, table, n) for part, n in zip(slices, numbers, strict=True)]
    rows = 0
    for shard in tasks.results(shards):
        writer.add(shard)
        rows += shard.rows
    if not rows:
        raise InputError(f"{path}: the table is empty")
    if table != "kept":
        writer.table("kept", kind, ())
    counts = Counts(read=rows, kept=rows)
    return writer.commit(stage="plain", step="plain", revision=1, config={}, inputs={}, counts=counts)


def _copied(kind: type[R], part: Slice, folder: Path, table: str, number: int | None) -> Shard:
    return write_records(folder, table, number, kind, records_in(kind, part))
