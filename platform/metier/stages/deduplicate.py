"""Removes exact and near-duplicates, whichever worker they were on: of dialogues, and of documents before them.

The way of a row, in chunks of the table and wholly in arrays:

1. Its text is signed (MinHash), and the keys of its bands go to the owners of these bands.
2. A band's owner sorts its keys: rows that share one are candidates, and form a bucket.
3. Candidates that any chain of buckets connects form a component; components are dealt out to groups.
4. Only candidates are read again. A group holds their shingles, verifies each pair by its true Jaccard similarity, and says
   which row represents each cluster.
5. Each chunk is written, kept or rejected.

The driver holds counts. A small table takes the same way within this process, and gives the same rows.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from metier.config import StageConfig
from metier.errors import InputError
from metier.execution.dataflow import chunks_of, tasks_for
from metier.execution.removal import in_order, write_removal
from metier.execution.step import Context, Input, Stage
from metier.lineage.artifact import Artifact, Shard
from metier.lineage.fingerprint import digest
from metier.lineage.manifest import Counts, config_changes
from metier.lineage.shards import Chunk, read_chunk, rows_of, to_table, write_file, write_shard
from metier.records import Dialogue, Document, Record, Rejection
from metier.text import similarity
from metier.text.dates import NO_END
from metier.text.identifiers import distinguishing
from metier.text.minhash import band_keys, lsh_shape
from metier.text.shingles import Sets, shingle_sets, texts_of
from metier.text.similarity import Buckets, Candidates, Outcome, buckets_of, deduplicated

EXACT, NEAR = "exact_duplicate", "near_duplicate"
SIGNATURES = "signatures"
LEAST_ALIKE = 7 / 8
"""Of the threshold. Chains of small changes connect rows that are not alike: one that is less like every row that stays is
kept as well, so that nothing is removed whose content is not there any more."""
GROUP_ROWS = 200_000  # rows of the table for each group; about a fifth of them are candidates, of 3 kB each


class Config(StageConfig):
    """What counts as a duplicate."""

    threshold: float = Field(0.8, ge=0.1, le=1)
    """Jaccard similarity of word shingles from which two dialogues are near-duplicates."""
    shingle_words: int = Field(3, ge=1, le=20)
    """Words in a shingle; dialogues are short."""
    permutations: int = Field(128, ge=16, le=1024)
    """Length of a signature."""
    keep_distinct_identifiers: bool = True
    """Keep both where names in code, quotations, numbers, constants or a negation differ: `default of a in f` and `default of
    b in f` look alike and are not."""
    keep_signatures: bool = False
    """Write the signatures of the kept rows, 8 bytes a band: with this output as its `corpus`, a later batch is compared with
    them, and they are not signed again."""


class DocumentConfig(Config):
    """What counts as a duplicate of a document."""

    threshold: float = Field(0.8, ge=0.1, le=1)
    """Jaccard similarity of word shingles from which two documents are near-duplicates."""
    shingle_words: int = Field(5, ge=1, le=20)
    """Words in a shingle."""
    keep_distinct_identifiers: bool = False
    """Keep both where names in code, quotations, numbers, constants or a negation differ. Two issues of one document mostly
    differ in those, and one of them is enough."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(Record):
    """One removed row: which kept row it repeats, and how similar the two are (Jaccard of their shingles)."""

    duplicate: str
    duplicate_of: str
    similarity: float
    exact: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sibling(Record):
    """One of several rows that all stay although chains of small changes connect them: they belong on one side of a split."""

    sibling: str
    cluster: str  # the id of its best row


@dataclasses.dataclass(frozen=True)
class Form:
    """How rows of one type are compared: their text, and the columns by which the larger represents a cluster."""

    kind: type[Record]
    columns: tuple[str, ...]  # that the text is made of
    texts: Callable[[pa.Table], pa.Array]
    ranking: Callable[[pa.Table], dict[str, Any]]
    ranked: tuple[str, ...]  # columns of the table that `ranking` reads
    subjects: Callable[[pa.Table], pa.Array] | None = None  # rows about different ones never meet


def dialogue_texts(table: pa.Table) -> pa.Array:
    """All turns of each dialogue but the system's, a line each."""
    messages = table["messages"].combine_chunks()
    turns = messages.flatten()
    said = pc.not_equal(pc.struct_field(turns, "role"), "system").to_numpy(zero_copy_only=False)
    row_of = np.repeat(np.arange(len(messages)), pc.list_value_length(messages).to_numpy(zero_copy_only=False))
    starts = np.concatenate([[0], np.cumsum(np.bincount(row_of[said], minlength=len(messages)))])
    lines = pc.struct_field(turns, "content").filter(pa.array(said))
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(starts, pa.int32()), lines), "\n")


def document_texts(table: pa.Table) -> pa.Array:
    """The text of each document."""
    return table["text"].combine_chunks()


def api_names(table: pa.Table) -> pa.Array:
    """The object that a document describes: two objects of one wording are still two. Empty for other documents."""
    return pc.fill_null(pc.struct_field(table["api"].combine_chunks(), "name"), "")


def _newest(table: pa.Table) -> dict[str, Any]:
    """What holds from later, then what holds until later."""
    until = table["superseded"]
    return {"effective": table["effective"], "until": pc.if_else(pc.equal(until, ""), NO_END, until)}


def _reviewed_newest(table: pa.Table) -> dict[str, Any]:
    return {"reviewed": pc.not_equal(table["reviewed"], "").cast(pa.int8()), **_newest(table)}


DATES = ("effective", "superseded")
DIALOGUES_FORM = Form(Dialogue, ("messages",), dialogue_texts, _reviewed_newest, ("reviewed", *DATES))
DOCUMENTS_FORM = Form(Document, ("text", "api"), document_texts, _newest, DATES, api_names)


@dataclasses.dataclass(frozen=True)
class Part:
    """A chunk of the rows that are compared. `keys`: where its band keys lie, if it is of a corpus that was signed before."""

    chunk: Chunk
    keys: str = ""

    @property
    def known(self) -> bool:
        """Its rows stay, whatever comes."""
        return bool(self.keys)


# 1. signing


def signed(part: Part, form: Form, config: Config, owners: int) -> tuple[np.ndarray, ...]:
    """The band keys of a part's rows, for each owner those of its bands. uint64, shape (bands of the owner, rows)."""
    keys = np.load(part.keys) if part.known else _keys(part.chunk, form, config)
    return tuple(np.ascontiguousarray(keys[owner::owners]) for owner in range(owners))


def _keys(chunk: Chunk, form: Form, config: Config) -> np.ndarray:
    table = read_chunk(chunk, form.columns)
    texts = form.texts(table)
    bands, rows = lsh_shape(config.threshold, config.permutations)
    salts = np.zeros(chunk.rows, np.uint64)
    if form.subjects:
        names = form.subjects(table).dictionary_encode()
        salts ^= hashed(names.dictionary.to_pylist())[names.indices.to_numpy()]
    if config.keep_distinct_identifiers:
        salts ^= hashed("\n".join(sorted(distinguishing(text))) for text in texts.to_pylist())
    return band_keys(texts_of(texts), config.shingle_words, bands, rows, salts)


def hashed(texts: Iterable[str]) -> np.ndarray:
    """A number for each text, zero for an empty one. uint64."""
    return np.array([int(digest(text)[:16], 16) if text else 0 for text in texts], np.uint64)


# 2. candidates


def bucketed(new: int, *keys: np.ndarray) -> Buckets:
    """The buckets of an owner's bands over all chunks, in rows of the whole table; those without a new row decide nothing.
    `new`: the first row of those that are not of the corpus."""
    bands = range(len(keys[0]))
    return Buckets.of([buckets_of(np.concatenate([part[band] for part in keys])) for band in bands]).reaching(new)


# 3. components


def connected(chunks: Sequence[Chunk], groups: int, *buckets: Buckets) -> tuple[Any, ...]:
    """The buckets of each group, then for each chunk its candidates and the group of each."""
    rows = chunks[-1].first + chunks[-1].rows
    candidates, dealt = similarity.dealt(rows, Buckets.of(buckets), groups)
    return (*dealt, *(candidates.between(chunk.first, chunk.first + chunk.rows) for chunk in chunks))


# 4. verification


@dataclasses.dataclass(frozen=True)
class Shingled:
    """Rows of one group: their shingles, and a table of `row` (of the whole), `id` and what ranks them."""

    sets: Sets
    rows: pa.Table


def shingled(part: Part, form: Form, config: Config, groups: int, wanted: Candidates) -> tuple[Shingled, ...]:
    """A part's candidates, for each group."""
    places = pa.array(wanted.rows - part.chunk.first)
    table = read_chunk(part.chunk, ("id", *form.columns, *form.ranked)).take(places)
    texts, about = form.texts(table), ranking(wanted.rows, form, table, known=part.known)
    made = []
    for group in range(groups):
        own = pa.array(np.flatnonzero(wanted.groups == group))
        made.append(Shingled(shingle_sets(texts_of(texts.take(own)), config.shingle_words), about.take(own)))
    return tuple(made)


def ranking(rows: np.ndarray, form: Form, table: pa.Table, *, known: bool = False) -> pa.Table:
    """`row` (of the whole table), `id`, and the columns by which the larger is the better row."""
    first = {"row": rows, "id": table["id"], "known": np.full(len(rows), known, np.int8)}
    return pa.table({**first, **form.ranking(table), "length": pc.utf8_length(form.texts(table))})


def ranks_of(rows: pa.Table) -> np.ndarray:
    """The rank of each row that `ranking` describes, 0 for the best: of equal ones the lowest id, then the first row."""
    best_first = [(name, "descending") for name in rows.column_names if name not in ("row", "id")]
    order = pc.sort_indices(rows, sort_keys=[*best_first, ("id", "ascending"), ("row", "ascending")]).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def verified(config: Config, buckets: Buckets, *parts: Shingled) -> tuple[pa.Table, pa.Table]:
    """The rows of a group that go (`row`, `duplicate`, `duplicate_of`, `similarity`, `exact`, `reason`, `evidence`), and
    those that stay beside others of their cluster (`sibling`, `cluster`)."""
    sets, rows = Sets.of([part.sets for part in parts]), pa.concat_tables([part.rows for part in parts])
    ranks = ranks_of(rows)
    fixed = rows["known"].to_numpy().astype(bool)
    outcome = deduplicated(buckets, sets, ranks, fixed, config.threshold, config.threshold * LEAST_ALIKE)
    gone = np.flatnonzero(outcome.kept_by >= 0)
    by = outcome.kept_by[gone]
    removed = rows.take(pa.array(gone)).select(["row", "id"]).rename_columns(["row", "duplicate"])
    pairs = removed.append_column("duplicate_of", rows["id"].take(pa.array(by)))
    pairs = pairs.append_column("similarity", pa.array(outcome.similarity[gone].round(6)))
    pairs = pairs.append_column("exact", pa.array((sets.exact[gone] == sets.exact[by]).all(axis=1)))
    told = [_told(pair, config.threshold) for pair in pairs.to_pylist()]
    reasons, evidence = zip(*told, strict=True) if told else ((), ())
    pairs = pairs.append_column("reason", pa.array(reasons, pa.string()))
    pairs = pairs.append_column("evidence", pa.array(evidence, pa.string()))
    return pairs, _siblings(rows["id"], outcome, np.argsort(ranks))


def _siblings(ids: pa.ChunkedArray, outcome: Outcome, order: np.ndarray) -> pa.Table:
    staying = order[outcome.kept_by[order] < 0]  # the best first
    _, first, inverse, counts = np.unique(
        outcome.cluster[staying], return_index=True, return_inverse=True, return_counts=True
    )
    several = counts[inverse] > 1
    best = staying[first[inverse]]
    return pa.table({"sibling": ids.take(pa.array(staying[several])), "cluster": ids.take(pa.array(best[several]))})


def _told(pair: dict[str, Any], threshold: float) -> tuple[str, str]:
    """The reason code, and which row is kept in its place."""
    if pair["exact"]:
        same = ", the same row" if pair["duplicate"] == pair["duplicate_of"] else ""
        return EXACT, f"repeats {pair['duplicate_of']}{same}"
    chain = " through rows between them" if pair["similarity"] < threshold else ""
    return NEAR, f"nearly repeats {pair['duplicate_of']}{chain} (Jaccard {pair['similarity']:.3f})"


# 5. writing


def listed(folder: Path, removed: pa.Table) -> Shard:
    """The table of duplicates, sorted by the removed row. A row that the input held twice is no duplicate of itself."""
    said = removed.drop_columns(["row", "reason", "evidence"]).to_pylist()
    pairs = {pair["duplicate"]: pair for pair in said if pair["duplicate"] != pair["duplicate_of"]}
    records = [Duplicate(**pairs[key]) for key in sorted(pairs)]
    return write_shard(folder, "duplicates", None, Duplicate, to_table(Duplicate, records))


def clusters(folder: Path, *siblings: pa.Table) -> Shard:
    """The table of siblings, sorted by their cluster."""
    records = [Sibling(**one) for table in siblings for one in table.to_pylist()]
    ordered = sorted(records, key=lambda s: (s.cluster, s.sibling))
    return write_shard(folder, "clusters", None, Sibling, to_table(Sibling, ordered))


def remembered(folder: Path, number: int | None, chunk: Chunk, removed: pa.Table, *keys: np.ndarray) -> None:
    """Writes the band keys of a chunk's kept rows; `keys` as `signed` gave them."""
    whole = np.empty((sum(len(part) for part in keys), chunk.rows), np.uint64)
    for owner, part in enumerate(keys):
        whole[owner :: len(keys)] = part
    gone = removed["row"].to_numpy() - chunk.first
    keep = np.delete(np.arange(chunk.rows), gone[(gone >= 0) & (gone < chunk.rows)])
    with write_file(folder, _signatures(number)) as place:
        np.save(place, whole[:, keep])


def _signatures(number: int | None) -> str:
    return f"{SIGNATURES}/{number or 0:05d}.npy"


# all of it


def corpus_of(context: Context[Any], form: Form) -> list[Part]:
    """The parts of the corpus that new rows are compared with. Raises InputError where it was signed in another way."""
    found, first = [], 0
    for name in context.parts("corpus"):
        corpus = context.inputs[name]
        if not isinstance(corpus, Artifact) or not corpus.path(SIGNATURES).exists():
            raise InputError(f"{name}: {corpus.location} holds no signatures: make it with keep_signatures=true")
        if corpus.manifest.stage != context.stage.name or corpus.manifest.revision != context.stage.revision:
            raise InputError(f"{name}: {corpus.location} is no output of this version of {context.stage.name}")
        changes = list(config_changes(context.step, corpus.manifest.config, context.config.identity()))
        if changes:
            raise InputError(f"{name}: {corpus.location} was made with other settings: {'; '.join(changes)}")
        for number, path in enumerate(corpus.table_files()):
            rows = rows_of(path)
            found.append(Part(Chunk(str(path), 0, rows, first), str(corpus.path(_signatures(number)))))
            first += rows
    return found


def deduplicating(name: str, form: Form) -> Callable[[Context[Any]], Counts]:
    """The stage for one type of rows, which its input `name` holds."""

    def run(context: Context[Any]) -> Counts:
        """Writes kept and rejected rows, the tables of duplicates and of siblings, and the signatures where wanted."""
        config, folder = context.config, context.output.folder
        parts = corpus_of(context, form)
        known = sum(part.chunk.rows for part in parts)
        chunks = chunks_of(context, name, first=known)
        parts += [Part(chunk) for chunk in chunks]
        every = [part.chunk for part in parts]
        tasks = tasks_for(context, every)
        owners = min(len(parts), lsh_shape(config.threshold, config.permutations)[0])
        groups = max(1, sum(chunk.rows for chunk in chunks) // GROUP_ROWS)

        keys = [tasks.call(signed, part, form, config, owners, parts=owners) for part in parts]
        buckets = [tasks.call(bucketed, known, *(part[owner] for part in keys)) for owner in range(owners)]
        keys = keys[-len(chunks) :] if config.keep_signatures else []  # the largest of all: freed when they were read
        dealing = tasks.call(connected, every, groups, *buckets, parts=groups + len(parts))
        candidates = [
            tasks.call(shingled, part, form, config, groups, wanted, parts=groups)
            for part, wanted in zip(parts, dealing[groups:], strict=True)
        ]
        verdicts = [
            tasks.call(verified, config, dealing[group], *(part[group] for part in candidates), parts=2)
            for group in range(groups)
        ]
        removed = tasks.call(in_order, *(gone for gone, _ in verdicts))
        counts = write_removal(context, tasks, chunks, form.kind, removed)
        tables = [tasks.call(listed, folder, removed), tasks.call(clusters, folder, *(stay for _, stay in verdicts))]
        for shard in tasks.results(tables):
            context.output.add(shard)
        if config.keep_signatures:
            saved = [tasks.call(remembered, folder, number, chunk, removed, *own)
                     for number, chunk, own in zip(range(len(chunks)), chunks, keys, strict=True)]  # fmt: skip
            collections.deque(tasks.results(saved), maxlen=0)
            context.output.content(SIGNATURES, digest(config.identity()))  # the rest follows from the kept rows
        return counts

    return run


def stage_for(name: str, table: str, form: Form, config: type[Config]) -> Stage[Any]:
    """The stage for one type of rows, which its input `table` holds."""
    return Stage(
        name=name,
        revision=2,
        summary=f"Removes exact and near-duplicate {table} (MinHash, LSH, every candidate verified).",
        config=config,
        inputs={
            table: Input(table, record=form.kind, many=True),
            "corpus": Input("earlier outputs of this stage, with signatures: new rows like theirs go", optional=True, many=True),
        },
        outputs={"kept": form.kind, "rejected": Rejection, "duplicates": Duplicate, "clusters": Sibling,
                 SIGNATURES: "the signatures of the kept rows, where they are wanted"},
        run=deduplicating(table, form),
        conserves=True,
    )  # fmt: skip


STAGE = stage_for("deduplicate", "dialogues", DIALOGUES_FORM, Config)
DOCUMENTS = stage_for("deduplicate_documents", "documents", DOCUMENTS_FORM, DocumentConfig)
