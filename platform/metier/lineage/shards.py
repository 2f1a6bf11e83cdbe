"""Records to Parquet and back. The Arrow schema comes from the record's type; JSONL is read with the same types."""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq

from metier.errors import InputError
from metier.records import Record, record_from

R = TypeVar("R", bound=Record)
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


def write_table(path: Path, kind: type[R], records: Iterable[R]) -> tuple[int, list[str]]:
    """Streams records into one Parquet file; gives the number of rows and their ids."""
    ids: list[str] = []
    batch: list[R] = []
    with pq.ParquetWriter(path, schema_of(kind), compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(to_table(kind, batch), row_group_size=ROWS_PER_GROUP)
            ids.extend(r.id for r in batch)
            batch.clear()

        for record in records:
            batch.append(record)
            if len(batch) == ROWS_PER_GROUP:
                flush()
        if batch or not ids:
            flush()
    return len(ids), ids


def read_table(kind: type[R], files: Sequence[Path]) -> Iterator[R]:
    """Streams the records of Parquet files, in the order of the files and rows."""
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
                yield from from_table(kind, pa.Table.from_batches([batch]))


def read_plain(kind: type[R], path: Path) -> Iterator[R]:
    """Records from a user's own .jsonl or .parquet file. Raises InputError with the file and the row."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".parquet"):
        raise InputError(f"{path}: a table is .jsonl or .parquet, not {suffix or 'without an ending'}")
    rows = _json_rows(path) if suffix == ".jsonl" else _parquet_rows(path)
    for number, row in rows:
        try:
            yield record_from(kind, row)
        except ValueError as error:
            raise InputError(
                f"{path}, row {number}: {error} (columns of a {kind.__name__}: `metier stage NAME --list --json`)"
            ) from None


def _json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8-sig", errors="strict") as file:
        number = 0
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, row {number}: not JSON ({error.msg})") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}, after row {number}: not UTF-8 text ({error.reason})") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets without end
            raise InputError(f"{path}, row {number}: can't be read ({error})") from None


def _parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    number = 0
    for one in files:
        try:
            table = pq.ParquetFile(one)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{one}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
        try:
            for batch in table.iter_batches(batch_size=ROWS_PER_GROUP):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{one}, after row {number}: damaged ({str(error).splitlines()[0]})") from None
