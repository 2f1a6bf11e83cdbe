"""Records to Parquet and back. The Arrow schema comes from the record's type."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import functools
import itertools
import shutil
import types
import typing
import uuid
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq

from metier.lineage.artifact import WORK, Shard
from metier.lineage.fingerprint import rows_total
from metier.records import Record, record_from

R = TypeVar("R", bound=Record)
CHUNK_BYTES = 1 << 28  # uncompressed: what a worker holds of a table at once
JOINED_BYTES = 1 << 25  # compressed: what is read in a moment by any tool
ROWS_PER_GROUP = 4096  # fixed, so that the bytes do not depend on how rows arrived

_PRIMITIVES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def _arrow_type(hint: Any) -> pa.DataType:
    if hint in _PRIMITIVES:
        return _PRIMITIVES[hint]
    if dataclasses.is_dataclass(hint):
        return pa.struct(list(_fields(cast(type, hint))))
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return pa.string()
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return pa.list_(_arrow_type(args[0]))
    if origin in (typing.Union, types.UnionType) and len(args) == 2 and type(None) in args:
        return _arrow_type(next(a for a in args if a is not type(None)))
    raise TypeError(f"no Arrow type for {hint!r}")


def _fields(kind: type) -> Iterator[pa.Field]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        optional = type(None) in typing.get_args(hints[field.name])
        yield pa.field(field.name, _arrow_type(hints[field.name]), nullable=optional)


def schema_of(kind: type) -> pa.Schema:
    """The Arrow schema of a record type."""
    return _schema(cast(Hashable, kind))


@functools.cache
def _schema(kind: Any) -> pa.Schema:
    return pa.schema(list(_fields(kind)))


def to_table(kind: type[R], records: Iterable[R]) -> pa.Table:
    """Records as an Arrow table of their type's schema."""
    return pa.Table.from_pylist([dataclasses.asdict(r) for r in records], schema=schema_of(kind))


def from_table(kind: type[R], table: pa.Table) -> list[R]:
    """The records of an Arrow table."""
    return [record_from(kind, row) for row in table.to_pylist()]


def write_table(place: Path | IO[bytes], kind: type[R], records: Iterable[R]) -> tuple[int, int]:
    """Streams records into one Parquet file; gives the number of rows and their total (`lineage.fingerprint`)."""
    rows = total = 0
    batch: list[R] = []
    with pq.ParquetWriter(place, schema_of(kind), compression="zstd") as writer:

        def flush() -> None:
            nonlocal rows, total
            writer.write_table(to_table(kind, batch), row_group_size=ROWS_PER_GROUP)
            rows, total = rows + len(batch), total + rows_total(r.id for r in batch)
            batch.clear()

        for record in records:
            batch.append(record)
            if len(batch) == ROWS_PER_GROUP:
                flush()
        if batch or not rows:
            flush()
    return rows, total


@contextlib.contextmanager
def write_file(folder: Path, path: str) -> Iterator[IO[bytes]]:
    """A file of an artifact, written by a worker: it stands in its place when it is whole."""
    whole, unfinished = folder / path, folder / WORK / uuid.uuid4().hex
    for place in (whole, unfinished):
        place.parent.mkdir(parents=True, exist_ok=True)
    with unfinished.open("wb") as file:
        yield file
    unfinished.replace(whole)


def rows_of(path: Path) -> int:
    """The number of rows of a Parquet file."""
    return int(pq.ParquetFile(path).metadata.num_rows)


def _path(name: str, number: int | None) -> str:
    return f"{name}.parquet" if number is None else f"{name}.parquet/{number:05d}.parquet"


def write_records(folder: Path, name: str, number: int | None, kind: type[R], records: Iterable[R]) -> Shard:
    """Writes a stream of records as `write_shard` writes rows; a few thousand are in memory at once."""
    path = _path(name, number)
    with write_file(folder, path) as place:
        rows, total = write_table(place, kind, records)
    return Shard(path, rows, total)


def write_shard(folder: Path, name: str, number: int | None, kind: type[Record], table: pa.Table) -> Shard:
    """Writes rows into an artifact's folder, from any worker, as the table `name` or as one of its parts.

    A worker that is started again writes the same file in the same place, and no reader sees half of one.
    """
    path = _path(name, number)
    with write_file(folder, path) as place, pq.ParquetWriter(place, schema_of(kind), compression="zstd") as writer:
        writer.write_table(table.cast(schema_of(kind)), row_group_size=ROWS_PER_GROUP)
    return Shard(path, table.num_rows, rows_total(table["id"].to_pylist()))


def joined(folder: Path, shards: Sequence[Shard]) -> list[Shard]:
    """The parts of a table as one file, where they are small; else as they are. Deterministic, as their bytes are."""
    if len(shards) == 1 or sum((folder / shard.path).stat().st_size for shard in shards) > JOINED_BYTES:
        return list(shards)
    table = pa.concat_tables([pq.read_table(folder / shard.path) for shard in shards])
    name = shards[0].path.split("/")[0]
    shutil.rmtree(folder / name)
    with write_file(folder, name) as place, pq.ParquetWriter(place, table.schema, compression="zstd") as writer:
        writer.write_table(table, row_group_size=ROWS_PER_GROUP)
    return [Shard(name, table.num_rows, sum(shard.total for shard in shards))]


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one file of a table."""

    path: str
    start: int  # in the file
    rows: int
    first: int  # in the table


def chunked(files: Sequence[Path], rows: int, first: int = 0) -> list[Chunk]:
    """A table's rows in chunks of at most `rows` and about `CHUNK_BYTES`; one chunk at least, which may be empty.

    `first`: the number that its first row gets.
    """
    found = []
    for path in files:
        metadata = pq.ParquetFile(path).metadata
        number = metadata.num_rows
        size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        each = max(1, min(rows, number * CHUNK_BYTES // max(size, 1)))
        for start in range(0, number, each):
            found.append(Chunk(str(path), start, min(each, number - start), first + start))
        first += number
    return found or [Chunk(str(files[0]), 0, 0, first)]


def read_chunk(chunk: Chunk, columns: Sequence[str] | None = None) -> pa.Table:
    """A chunk's rows; row groups before and behind them are not read."""
    with pq.ParquetFile(chunk.path) as file:
        ends = list(itertools.accumulate(file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)))
        first = bisect.bisect_right(ends, chunk.start)
        last = bisect.bisect_left(ends, chunk.start + chunk.rows)
        groups = range(first, last + 1) if chunk.rows else range(0)
        before = ends[first - 1] if first else 0
        names = list(columns) if columns is not None else None
        return file.read_row_groups(list(groups), columns=names, use_threads=False).slice(
            chunk.start - before, chunk.rows
        )


def read_table(kind: type[R], files: Sequence[Path]) -> Iterator[R]:
    """Streams the records of Parquet files, in the order of the files and rows."""
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
                yield from from_table(kind, pa.Table.from_batches([batch]))
