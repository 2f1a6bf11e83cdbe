"""Where a record went: what it was made from, which steps kept it, what was made of it, and what rejected any of those.

Reads ids and reasons only, batch by batch, so that the size of a table does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metier.errors import InputError
from metier.lineage.artifact import Artifact
from metier.lineage.manifest import MANIFEST, config_changes
from metier.lineage.trace import behind

LEAST_DIGITS = 6  # of an id that is given in short
SHOWN = 5  # rejections of a step that are told one by one


@dataclass(frozen=True)
class Row:
    """A record as it lies in a table."""

    step: str
    table: str
    record: dict[str, Any]


@dataclass(frozen=True)
class Loss:
    """A record that a step rejected."""

    id: str
    reason: str
    evidence: str


@dataclass
class Stop:
    """What became of a record, and of what was made of it, in one step."""

    step: str
    kept: int = 0
    made: int = 0  # records that were derived here
    lost: dict[str, int] = field(default_factory=dict)  # by reason
    losses: list[Loss] = field(default_factory=list)  # the first few


@dataclass(frozen=True)
class Journey:
    """The way of one record."""

    id: str
    origins: tuple[Row, ...]  # what it was made from, the nearest first
    row: Row
    stops: tuple[Stop, ...]


@dataclass(frozen=True)
class Difference:
    """What two outputs of a step do not share. Losses say why the other one has not got a row, where it says so."""

    config: tuple[str, ...]
    shared: int
    only: tuple[int, int]
    losses: tuple[tuple[Loss, ...], tuple[Loss, ...]]  # of the rows that only the first has, only the second


def chain(store: Path, of: str = "") -> list[Artifact]:
    """The artifacts of one run, in the order in which they were made: the newest artifact and all behind it.

    `of`: a step, or STEP/KEY, to begin from another. Raises InputError where there is none.
    """
    pattern = f"{of}/{MANIFEST}" if "/" in of else f"{of or '*'}/*/{MANIFEST}"
    found = sorted(store.glob(pattern), key=lambda p: p.stat().st_mtime_ns) if not of.startswith("/") else []
    if not found:
        raise InputError(
            f"{store}: {f'nothing of {of}' if of else 'nothing'} is finished there; run `metier run` first"
        )
    artifacts = behind(store, Artifact(found[-1].parent))
    waiting, done = {a.manifest.step: a for a in reversed(artifacts)}, list[Artifact]()
    while waiting:
        contents = {a.manifest.content for a in waiting.values()}
        ready = [a for a in waiting.values() if not contents & set(a.manifest.inputs.values()) - {a.manifest.content}]
        for one in ready or list(waiting.values()):
            done.append(waiting.pop(one.manifest.step))
    return done


def _tables(artifact: Artifact) -> Iterator[tuple[str, Path]]:
    for entry in artifact.manifest.files:
        if entry.rows is not None:
            yield entry.path.split("/")[0].removesuffix(".parquet"), artifact.folder / entry.path


def _batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        known = [name for name in columns if name in file.schema_arrow.names]
        yield from file.iter_batches(columns=known)


def find(artifacts: Sequence[Artifact], id_: str) -> list[Row]:
    """The rows of a record, in every table that holds it; the id may be cut short.

    Raises InputError where none is found or the short id is that of several records.
    """
    if len(id_) < LEAST_DIGITS:
        raise InputError(f"id {id_!r}: give at least {LEAST_DIGITS} characters of it")
    rows: list[Row] = []
    for row in _beginning(artifacts, id_):
        rows.append(row)
        ids = {one.record["id"] for one in rows}
        if len(ids) > 1:
            raise InputError(f"id {id_}: {' and '.join(sorted(ids))} begin so: give more of it")
    if not rows:
        raise InputError(f"id {id_}: no record of this run has it")
    return rows


def _beginning(artifacts: Sequence[Artifact], id_: str) -> Iterator[Row]:
    """Every row whose id begins so; only ids are read of the others."""
    for artifact in artifacts:
        for table, path in _tables(artifact):
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    here = pc.starts_with(file.read_row_group(group, columns=["id"])["id"], id_)
                    if pc.any(here).as_py():
                        for record in file.read_row_group(group).filter(here).to_pylist():
                            yield Row(artifact.manifest.step, table, record)


def journey(artifacts: Sequence[Artifact], id_: str) -> Journey:
    """The way of a record through the artifacts of one run."""
    row = find(artifacts, id_)[0]
    family = {row.record["id"]}
    stops = [stop for artifact in artifacts if (stop := _stop(artifact, family))]
    return Journey(row.record["id"], tuple(_origins(artifacts, row)), row, tuple(stops))


def _origins(artifacts: Sequence[Artifact], row: Row) -> Iterator[Row]:
    waiting, seen = list(row.record["parent_ids"]), {row.record["id"]}
    while waiting:
        parent = waiting.pop(0)
        if parent in seen:
            continue
        seen.add(parent)
        found = next(_beginning(artifacts, parent), None)  # none where the step that made it is gone
        if found:
            yield found
            waiting += found.record["parent_ids"]


def _stop(artifact: Artifact, family: set[str]) -> Stop | None:
    """What this step did with the family, to which its new members are added."""
    stop = Stop(artifact.manifest.step)
    known, born = pa.array(sorted(family)), set[str]()
    for table, path in _tables(artifact):
        if table == "rejected":
            for batch in _batches(path, ("record_id", "reason", "evidence")):
                for lost in batch.filter(pc.is_in(batch["record_id"], known)).to_pylist():
                    stop.lost[lost["reason"]] = stop.lost.get(lost["reason"], 0) + 1
                    if len(stop.losses) < SHOWN:
                        stop.losses.append(Loss(lost["record_id"], lost["reason"], lost["evidence"]))
            continue
        for batch in _batches(path, ("id", "parent_ids")):
            same = pc.is_in(batch["id"], known)
            parents = batch["parent_ids"]
            rows = pc.list_parent_indices(parents).filter(pc.is_in(pc.list_flatten(parents), known))
            children = set(batch["id"].take(rows).to_pylist()) - family
            stop.kept += pc.sum(same).as_py() or 0 if table == "kept" else 0
            born |= children
    stop.made = len(born)
    family |= born
    return stop if stop.kept or stop.made or stop.lost else None


def difference(one: Artifact, other: Artifact) -> Difference:
    """What differs between the kept rows of two outputs, and between the settings that they were made with."""
    ids = [_kept(artifact) for artifact in (one, other)]
    only = [ids[0].filter(pc.invert(pc.is_in(ids[0], ids[1]))), ids[1].filter(pc.invert(pc.is_in(ids[1], ids[0])))]
    return Difference(
        config=tuple(config_changes(one.manifest.step, one.manifest.config, other.manifest.config)),
        shared=len(ids[0]) - len(only[0]),
        only=(len(only[0]), len(only[1])),
        losses=(_losses(other, only[0]), _losses(one, only[1])),
    )


def _kept(artifact: Artifact) -> pa.Array:
    parts = [pq.read_table(path, columns=["id"])["id"] for path in artifact.table_files()]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string()).combine_chunks()


def _losses(artifact: Artifact, ids: pa.Array) -> tuple[Loss, ...]:
    found = []
    for table, path in _tables(artifact):
        for batch in _batches(path, ("record_id", "reason", "evidence")) if table == "rejected" else ():
            for lost in batch.filter(pc.is_in(batch["record_id"], ids)).to_pylist():
                found.append(Loss(lost["record_id"], lost["reason"], lost["evidence"]))
    return tuple(found)
