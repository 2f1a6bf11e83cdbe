"""A user's own table, JSONL or Parquet, in slices: no reader holds more of it than one slice, or of Parquet a few thousand rows.

Every row becomes a record of one type, or is refused by its number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from metier.errors import InputError
from metier.lineage import lines
from metier.lineage.lines import MEGABYTE, line_number, lines_in, parts_of
from metier.lineage.shards import ROWS_PER_GROUP
from metier.records import Record, record_from, unfit_columns

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Slice:
    """A part of one file: bytes of JSONL, row groups of Parquet. `first`: rows of the table before it, of Parquet."""

    path: str
    start: int
    stop: int
    first: int = 0

    @property
    def of_lines(self) -> bool:
        """Whether it is of JSONL."""
        return self.path.lower().endswith(".jsonl")


def slices_of(kind: type[Record], path: Path) -> list[Slice]:
    """The slices of a file, or of a folder `*.parquet` of Parquet files.

    Raises InputError for what is no such table; of Parquet also where its columns are not those of the type.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".parquet"):
        raise InputError(f"{path}: a table is .jsonl or .parquet, not {suffix or 'without an ending'}")
    try:
        if suffix == ".jsonl":
            return [Slice(str(path), start, stop) for start, stop in parts_of(str(path))]
        return list(_parquet_slices(kind, sorted(path.glob("*.parquet")) if path.is_dir() else [path]))
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror or error})") from None


def records_in(kind: type[R], part: Slice) -> Iterator[R]:
    """The records of a slice. Raises InputError with the file and the row."""
    rows = _json_rows(part) if part.of_lines else _parquet_rows(part)
    for at, row in rows:
        try:
            yield record_from(kind, row)
        except ValueError as error:
            raise InputError(f"{part.path}, row {_number(part, at)}: {error} {_hint(kind)}") from None


def read_plain(kind: type[R], path: Path) -> Iterator[R]:
    """All records of a file, one slice after the other. Raises InputError as `slices_of` and `records_in` do."""
    for part in slices_of(kind, path):
        yield from records_in(kind, part)


def _hint(kind: type[Record]) -> str:
    return f"(columns of a {kind.__name__}: `metier stage NAME --list --json`)"


def _number(part: Slice, at: int) -> int:
    """The number of a row, from 1; `at`: its first byte in JSONL, its number in Parquet."""
    return line_number(part.path, at) if part.of_lines else at


def _json_rows(part: Slice) -> Iterator[tuple[int, Any]]:
    for at, line in lines_in(part.path, part.start, part.stop):
        try:
            text = line.decode("utf-8" if at else "utf-8-sig")
            if text.strip():
                yield at, json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{part.path}, row {_number(part, at)}: not JSON ({error.msg})") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{part.path}, row {_number(part, at)}: not UTF-8 text ({error.reason})") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets without end
            raise InputError(f"{part.path}, row {_number(part, at)}: can't be read ({error})") from None


def _parquet_slices(kind: type[Record], files: Sequence[Path]) -> Iterator[Slice]:
    """Row groups that stand together, of about as many bytes as a slice of JSONL."""
    first = 0
    for path in files:
        table = _opened(path)
        if fault := unfit_columns(kind, table.schema_arrow.names):
            raise InputError(f"{path}: {fault} {_hint(kind)}")
        start = size = rows = 0
        for group in range(table.num_row_groups):
            size += table.metadata.row_group(group).total_byte_size
            rows += table.metadata.row_group(group).num_rows
            if size >= lines.PART or group == table.num_row_groups - 1:
                yield Slice(str(path), start, group + 1, first)
                first, start, size, rows = first + rows, group + 1, 0, 0


def _opened(path: Path) -> pq.ParquetFile:
    """The file behind a buffer: without one, a whole row group's bytes are read at once."""
    try:
        return pq.ParquetFile(path, buffer_size=MEGABYTE)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


def _parquet_rows(part: Slice) -> Iterator[tuple[int, Any]]:
    number = part.first
    groups = list(range(part.start, part.stop))
    try:
        for batch in _opened(Path(part.path)).iter_batches(batch_size=ROWS_PER_GROUP, row_groups=groups):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # of Arrow's values Python has not all
        raise InputError(f"{part.path}, after row {number}: damaged ({str(error).splitlines()[0]})") from None
