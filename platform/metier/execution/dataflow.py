"""Pure operators over tables, on Ray where there is more than a batch.

Stages say `map_table`; nobody above this file knows how rows travel. `stream` is for those that go on with the rows in the
driver: few enough to be trained on.

An operator takes a list of records and gives records and rejections. It must be a pure function of its rows, so that
neither the number of workers nor a retry can change what comes out.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from metier import errors
from metier.errors import MetierError, StepError
from metier.execution.pieces import Written, gathered, numbers_of, write_piece
from metier.execution.step import Context
from metier.execution.tasks import Here, OnCluster, Tasks
from metier.lineage.manifest import Counts
from metier.lineage.shards import Chunk, chunked, from_table, read_chunk, rows_of, schema_of, to_table
from metier.records import Record, Rejection, record_from

A = TypeVar("A", bound=Record)
B = TypeVar("B", bound=Record)
Operator = Callable[[list[A]], Iterable[B | Rejection]]
MOST_HERE = 1000  # rows: no driver is kept busy with more, however large the batches are
BATCHES_A_CHUNK = 64  # for functions over whole columns, to which a row costs microseconds
BATCHES_A_PIECE = 16  # for operators, to which it is an object
PARTS = 16  # of a table or a plain list, at least, where it is that long


def _envelope(kind: type[Record]) -> pa.Schema:
    """One column an outcome: a row fills exactly one of them. `refused` carries an error of ours out of a worker; the
    last row of a batch says how many rows were read for it."""
    kept, rejected = pa.struct(list(schema_of(kind))), pa.struct(list(schema_of(Rejection)))
    refused = pa.struct([pa.field("error", pa.string()), pa.field("text", pa.string())])
    columns = {"kept": kept, "rejected": rejected, "refused": refused, "read": pa.int64()}
    return pa.schema([pa.field(name, column) for name, column in columns.items()])


def _nullable(schema: pa.Schema) -> pa.Schema:
    """Struct children of a null struct are null too, so inside an envelope nothing is required."""

    def loosen(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_struct(kind):
            return pa.struct([pa.field(f.name, loosen(f.type)) for f in kind])
        if pa.types.is_list(kind):
            return pa.list_(loosen(kind.value_type))
        return kind

    return pa.schema([pa.field(f.name, loosen(f.type)) for f in schema])


def stream(
    context: Context[Any], name: str, kind: type[A], operator: Operator[A, B], into: type[B]
) -> Iterator[B | Rejection]:
    """Runs `operator` over the input table `name` in parallel and streams what it gives, in the order of the input.

    A single small batch is worked on here: sending it to a worker takes seconds and gives the same.
    """
    rows = rows_in(context, name)
    if rows <= min(context.resources.batch_rows, MOST_HERE):
        yield from operator(list(context.records(name, kind)))
        context.progress(rows, rows, "rows")
        return
    import ray.data

    data = ray.data.read_parquet([str(p) for p in context.files(name)], partitioning=None)
    yield from _outcome(context, data, rows, kind, operator, into)


def _outcome(
    context: Context[Any], data: Any, total: int, kind: type[A], operator: Operator[A, B], into: type[B]
) -> Iterator[B | Rejection]:
    """Runs `operator` over a Ray data set of `kind` and streams what it gives."""
    schema = _nullable(_envelope(into))

    def apply(batch: pa.Table) -> pa.Table:
        rows: list[dict[str, Any]] = []
        try:
            for record in operator(from_table(kind, batch)):
                column = "rejected" if isinstance(record, Rejection) else "kept"
                rows.append({column: dataclasses.asdict(record)})
            rows.append({"read": batch.num_rows})
        except MetierError as error:  # Ray would wrap it beyond recognition
            rows = [{"refused": {"error": type(error).__name__, "text": str(error)}}]
        return pa.Table.from_pylist(rows, schema=schema)

    applied = data.map_batches(
        apply,
        batch_format="pyarrow",
        batch_size=context.resources.batch_rows,
        num_cpus=context.resources.cpus,
        zero_copy_batch=True,
    )
    done = 0
    batch: Any
    for batch in applied.iter_batches(batch_format="pyarrow", batch_size=None):
        for row in batch.to_pylist():
            if row["refused"] is not None:
                raise getattr(errors, row["refused"]["error"])(row["refused"]["text"])
            if row["rejected"] is not None:
                yield record_from(Rejection, row["rejected"])
            elif row["kept"] is not None:
                yield record_from(into, row["kept"])
            else:
                done += row["read"]
                context.progress(done, total, "rows")


def write_outcome(context: Context[Any], outcome: Iterable[B | Rejection], into: type[B], read: int) -> Counts:
    """Writes kept and rejected records as they come and gives the counts. `read` is the number of rows that went in."""
    reasons: collections.Counter[str] = collections.Counter()
    rejected: list[Rejection] = []

    def kept() -> Iterator[B]:
        for record in outcome:
            if isinstance(record, Rejection):
                reasons[record.reason] += 1
                rejected.append(record)
            else:
                yield record

    rows = context.output.table("kept", into, kept())
    context.output.table("rejected", Rejection, rejected)
    return Counts(read=read, kept=rows, rejected=dict(sorted(reasons.items())))


def rows_in(context: Context[Any], name: str) -> int:
    """The number of rows of an input table, from its manifest."""
    return sum(rows_of(path) for path in context.files(name))


def map_table(context: Context[Any], name: str, kind: type[A], operator: Operator[A, B], into: type[B]) -> Counts:
    """Runs `operator` over the table `name`; writes `kept` and `rejected`. Raises StepError when all is rejected.

    Whoever works on a piece of the table writes what comes of it, so no row reaches the driver.
    """
    pieces, batch = pieces_of(context, name), context.resources.batch_rows
    tasks = tasks_for(context, pieces)
    shared = tasks.share(operator)
    made = [
        tasks.call(_mapped, context.output.folder, number, piece, kind, shared, into, batch)
        for number, piece in zip(numbers_of(pieces), pieces, strict=True)
    ]
    counts = gathered(context, [piece.rows for piece in pieces], tasks.results(made), join=True)
    if counts.read and not counts.kept:
        raise StepError(
            f"{context.step} rejected all {counts.read} rows ({counts.rejected}): nothing is left to go on with"
        )
    return counts


def _mapped(folder: Path, number: int | None, piece: Chunk, kind: type[A], operator: Operator[A, B], into: type[B],
            batch: int) -> Written:  # fmt: skip
    table, found = read_chunk(piece), list[B | Rejection]()
    for start in range(0, piece.rows, batch):
        found += operator(from_table(kind, table.slice(start, batch)))
    return _write(folder, number, piece.rows, into, found)


def map_items(
    context: Context[Any], items: Sequence[A], operator: Operator[A, B], into: type[B], most: int = 0
) -> Counts:
    """The same over a plain list, such as files to be read, always on workers. What an item gives counts as read.

    An item that gives nothing counts as one that was read and lost. `most`: items whose rows a worker may hold at once; 0: as
    many as a batch has rows.
    """
    each = max(1, min(most or context.resources.batch_rows, math.ceil(len(items) / PARTS)))
    slices = [items[at : at + each] for at in range(0, len(items), each)]
    tasks = OnCluster(context.resources.cpus)
    shared = tasks.share(operator)
    made = [
        tasks.call(_mapped_items, context.output.folder, number, part, shared, into)
        for number, part in zip(numbers_of(slices), slices, strict=True)
    ]
    return gathered(context, [len(part) for part in slices], tasks.results(made), join=True)


def _mapped_items(
    folder: Path, number: int | None, items: Sequence[A], operator: Operator[A, B], into: type[B]
) -> Written:
    given = [list(operator([item])) for item in items]
    return _write(folder, number, sum(max(1, len(one)) for one in given), into, itertools.chain.from_iterable(given))


def _write(folder: Path, number: int | None, read: int, into: type[B], found: Iterable[B | Rejection]) -> Written:
    kept, rejected = list[B](), list[Rejection]()
    for one in found:
        if isinstance(one, Rejection):
            rejected.append(one)
        else:
            kept.append(one)
    return write_piece(folder, number, read, into, to_table(into, kept), rejected)


def pieces_of(context: Context[Any], name: str) -> list[Chunk]:
    """The input table `name` in pieces for operators; a small one is a single piece."""
    rows, batch = rows_in(context, name), context.resources.batch_rows
    most = min(max(batch, math.ceil(rows / PARTS)), batch * BATCHES_A_PIECE)  # not by the number of workers
    return chunked(context.files(name), max(1, rows) if rows <= min(batch, MOST_HERE) else most)


def chunks_of(context: Context[Any], name: str, first: int = 0) -> list[Chunk]:
    """The input table `name` in pieces for functions over whole columns. `first`: the number that its first row gets."""
    return chunked(context.files(name), context.resources.batch_rows * BATCHES_A_CHUNK, first)


def tasks_for(context: Context[Any], chunks: Sequence[Chunk]) -> Tasks:
    """Where functions over these chunks are called: a single chunk is worked on here, as a single batch is."""
    return Here() if len(chunks) == 1 else OnCluster(context.resources.cpus)
