"""Finds documents that are versions of one another, and writes into the older ones from when they no longer hold.

Nothing is rejected but a date that is none: an old version stays a document, and `filter` rejects what was made from it as of
the day that it is asked for. The table `superseded` names the document that takes the place of each.

The way of a document is that of `deduplicate`, in chunks of the table: the keys of its title and body go to their owners, who
say which documents share one; only those are read again and compared, in groups; then each chunk is written.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from metier.config import StageConfig
from metier.execution.dataflow import chunks_of, tasks_for
from metier.execution.pieces import Written, gathered, numbers_of, write_piece
from metier.execution.removal import in_order
from metier.execution.step import Context, Input, Stage
from metier.lineage.artifact import Shard
from metier.lineage.manifest import Counts
from metier.lineage.shards import Chunk, from_table, read_chunk, schema_of, to_table, write_shard
from metier.records import Document, Record, Rejection, rejection
from metier.stages.deduplicate import GROUP_ROWS, Shingled, connected, hashed
from metier.text.dates import day_of, plain_day
from metier.text.shingles import Sets, shingle_sets, texts_of
from metier.text.similarity import Buckets, Candidates
from metier.text.versions import SHINGLE_WORDS, Versions, bands_for, body_keys, family, sharing, successions

NAME, INVALID_DATE = "supersede", "invalid_date"
DATES = ("effective", "superseded")
FACTS = ("id", "root_id", "uri", "title", *DATES)
"""Columns that travel of a candidate; its body does as shingles."""


class Config(StageConfig):
    """From when two dated documents are versions of one."""

    min_similarity: float = Field(0.7, ge=0.5, le=1)
    """Jaccard similarity of the bodies (word shingles) from which documents of any title are versions of one."""
    min_title_similarity: float = Field(0.2, ge=0, le=1)
    """The same where the titles are equal but for a year or a version's number: an Introduction has many namesakes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Superseded(Record):
    """One document that another takes the place of. Its `root_id` is that of everything made from it."""

    uri: str
    by_id: str  # root id of the document that takes its place
    by_uri: str
    by_title: str
    day: str  # from when it no longer holds
    similarity: float
    same_title: bool


def invalid_dates(table: pa.Table) -> list[str]:
    """What is wrong with the days of each row; empty where nothing is."""
    return [_invalid(*days) for days in zip(*(table[name].to_pylist() for name in DATES), strict=True)]


def _invalid(effective: str, superseded: str) -> str:
    try:
        day_of(effective), day_of(superseded)
    except ValueError as error:
        return str(error)
    return ""


def signed(chunk: Chunk, config: Config, owners: int) -> tuple[np.ndarray, ...]:
    """The keys of a chunk's documents, for each owner those of its titles or bands; zero for what is no version of anything,
    as it has no day, or describes a program. uint64, shape (keys of the owner, rows)."""
    table = read_chunk(chunk, ("title", "text", "api", *DATES))
    sound = pa.array([not fault for fault in invalid_dates(table)], pa.bool_())
    dated = pc.and_(pc.and_(sound, pc.not_equal(table["effective"], "")), pc.is_null(table["api"]))
    places = np.flatnonzero(dated.to_numpy())
    rows = table.select(["title", "text"]).take(pa.array(places))
    keys = np.zeros((1 + bands_for(config.min_similarity)[0], chunk.rows), np.uint64)
    keys[0, places] = hashed(map(family, rows["title"].to_pylist()))
    keys[1:, places] = body_keys(texts_of(rows["text"]), config.min_similarity)
    return tuple(np.ascontiguousarray(keys[owner::owners]) for owner in range(owners))


def bucketed(*keys: np.ndarray) -> Buckets:
    """The documents that share a key of an owner's, in rows of the whole table."""
    return Buckets.of([sharing(np.concatenate([part[one] for part in keys])) for one in range(len(keys[0]))])


def read_again(chunk: Chunk, groups: int, wanted: Candidates) -> tuple[Shingled, ...]:
    """A chunk's candidates, for each group: their facts and the shingles of their bodies."""
    table = read_chunk(chunk, (*FACTS, "text")).take(pa.array(wanted.rows - chunk.first))
    facts = table.select(FACTS).append_column("row", pa.array(wanted.rows))
    made = []
    for group in range(groups):
        own = pa.array(np.flatnonzero(wanted.groups == group))
        made.append(Shingled(shingle_sets(texts_of(table["text"].take(own)), SHINGLE_WORDS), facts.take(own)))
    return tuple(made)


def succeeded(config: Config, buckets: Buckets, *parts: Shingled) -> pa.Table:
    """The older versions of a group: their `row` in the whole table, and the columns of `Superseded`."""
    facts = pa.concat_tables([part.rows for part in parts]).to_pylist()
    versions = Versions(
        ids=[one["id"] for one in facts],
        families=[family(one["title"]) for one in facts],
        days=[plain_day(one["effective"]) for one in facts],
        bodies=Sets.of([part.sets for part in parts]),
    )
    rows, records = list[int](), list[Superseded]()
    for one in successions(buckets, versions, config.min_similarity, config.min_title_similarity):
        older, newer = facts[one.older], facts[one.newer]
        rows.append(older["row"])
        records.append(
            Superseded(
                root_id=older["root_id"],
                parent_ids=(older["id"],),
                uri=older["uri"],
                by_id=newer["root_id"],
                by_uri=newer["uri"],
                by_title=newer["title"],
                day=older["superseded"] or plain_day(newer["effective"]),  # a day that its author wrote stands
                similarity=one.similarity,
                same_title=one.same_title,
            )
        )
    return to_table(Superseded, records).append_column("row", pa.array(rows, pa.int64()))


def written(folder: Path, number: int | None, chunk: Chunk, found: pa.Table) -> Written:
    """Writes a chunk's documents in their order, the older versions with their last day.

    `found`: as `succeeded` gave it, in the order of the table.
    """
    table = read_chunk(chunk).cast(schema_of(Document))
    faults = invalid_dates(table)
    first, last = np.searchsorted(found["row"].to_numpy(), (chunk.first, chunk.first + chunk.rows))
    places = found["row"].to_numpy()[first:last] - chunk.first
    older = from_table(Document, table.take(pa.array(places)))
    days = found["day"].slice(first, last - first).to_pylist()
    ended = [d if d.superseded else d.derive(Document, superseded=day) for d, day in zip(older, days, strict=True)]
    order = np.arange(chunk.rows)
    order[places] = chunk.rows + np.arange(len(places))
    whole = pa.concat_tables([table, to_table(Document, ended)])
    sound = np.array([not fault for fault in faults], bool)
    kept = whole.take(pa.array(order[sound]))
    gone = zip(from_table(Document, table.filter(pa.array(~sound))), filter(None, faults), strict=True)
    rejected = [rejection(document, NAME, INVALID_DATE, fault) for document, fault in gone]
    return write_piece(folder, number, chunk.rows, Document, kept, rejected)


def listed(folder: Path, found: pa.Table) -> Shard:
    """The table of older versions, sorted by their names."""
    rows = found.drop_columns(["row"]).sort_by([("uri", "ascending"), ("id", "ascending")])
    return write_shard(folder, "superseded", None, Superseded, rows)


def run(context: Context[Config]) -> Counts:
    """Writes the documents in the order of the input, and the table of those that are superseded."""
    config, folder = context.config, context.output.folder
    chunks = chunks_of(context, "documents")
    tasks = tasks_for(context, chunks)
    owners = min(len(chunks), 1 + bands_for(config.min_similarity)[0])
    groups = max(1, sum(chunk.rows for chunk in chunks) // GROUP_ROWS)

    keys = [tasks.call(signed, chunk, config, owners, parts=owners) for chunk in chunks]
    buckets = [tasks.call(bucketed, *(part[owner] for part in keys)) for owner in range(owners)]
    dealing = tasks.call(connected, chunks, groups, *buckets, parts=groups + len(chunks))
    candidates = [
        tasks.call(read_again, chunk, groups, wanted, parts=groups)
        for chunk, wanted in zip(chunks, dealing[groups:], strict=True)
    ]
    verdicts: list[Any] = [
        tasks.call(succeeded, config, dealing[group], *(part[group] for part in candidates)) for group in range(groups)
    ]
    found = tasks.call(in_order, *verdicts)
    handles = [
        tasks.call(written, folder, number, chunk, found)
        for number, chunk in zip(numbers_of(chunks), chunks, strict=True)
    ]
    counts = gathered(context, [chunk.rows for chunk in chunks], tasks.results(handles), join=True)
    for shard in tasks.results([tasks.call(listed, folder, found)]):
        context.output.add(shard)
    return counts


STAGE = Stage(
    name=NAME,
    revision=2,
    summary="Finds versions of one document and writes into the older when they ceased to hold.",
    config=Config,
    inputs={"documents": Input("documents of all versions", record=Document)},
    outputs={"kept": Document, "rejected": Rejection, "superseded": Superseded},
    run=run,
    conserves=True,
)
