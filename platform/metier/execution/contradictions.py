"""Finds contradictions among all claims of a table: functions over chunks, called here or on the cluster, with equal results.

1. A chunk's claims are packed, and their keys dealt to the keys' owners.
2. An owner says which rows share a rare key, and which keys are common; common ones are tried again in pairs.
3. Rows of one question, and rows whose questions mean nearly the same, are candidates too; each row has a bounded number.
4. A pair goes to the chunk of one of its rows. There the claims are compared: those of other chunks are read from where they
   lie, under 1 kB a sentence, and unpacked as they are needed.
5. What comes out is as small as what contradicts: one task turns it into a table, and says which rows go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metier.execution.tasks import Handle, Tasks
from metier.lineage.shards import from_table, to_table
from metier.retrieval.embedding import Embedder
from metier.retrieval.nearest import LISTS, near, signatures
from metier.text.blocking import Common, Keyed, among_best, hashed, paired, pairs_of, rows_in, sharing
from metier.text.claims import Claim, Contradiction, conflict, left_open
from metier.text.compact import packed, unpacked

OWNERS = 16  # of keys, at most: so many times the chunks are the results that Ray has to know of
LEAST_CLOSE = 0.2  # share of words from which two sentences may speak of one thing, where rules find nothing
OPEN = pa.schema([("first", pa.string()), ("second", pa.string()), ("closeness", pa.float64()), ("open", pa.string())])
"""Pairs that the rules leave open, packed. `closeness`: share of words in common, and 1 more where the questions ask alike."""


@dataclasses.dataclass(frozen=True)
class Claimed:
    """The claims of a chunk in three parts, as not every task needs all: handles, or what they stand for."""

    keyed: Handle
    about: Handle  # table: `row` (of the whole table), `id`, `question` (uint64), `salt` (uint64), and the standing's columns
    claims: Handle  # table: `row`, `claim` (packed)


STANDING = ("answers", "effective", "reviewed", "superseded")


def taken_down(rows: Sequence[int], claims: Sequence[Claim]) -> tuple[Keyed, pa.Table, pa.Table]:
    """The claims of these rows of the whole table, which rise, as `Claimed` holds them."""
    numbers = pa.array(rows, pa.int64())
    about = {
        "row": numbers,
        "id": pa.array([one.id for one in claims], pa.string()),
        "question": pa.array([hashed(one.question) for one in claims], pa.uint64()),
        "salt": pa.array([hashed(one.about) for one in claims], pa.uint64()),
        "answers": pa.array([int(one.answers) for one in claims], pa.int8()),
        "effective": pa.array([one.effective for one in claims], pa.string()),
        "reviewed": pa.array([int(one.reviewed) for one in claims], pa.int8()),
        "superseded": pa.array([one.superseded for one in claims], pa.string()),
    }
    texts = pa.array([packed(one) for one in claims], pa.large_string())
    keyed = Keyed.of(rows, (one.keys for one in claims))
    return keyed, pa.table(about), pa.table({"row": numbers, "claim": texts})


# candidates; `firsts` are the first rows of all chunks


def _to_chunks(pairs: np.ndarray, firsts: np.ndarray) -> tuple[np.ndarray, ...]:
    """The pairs of each chunk: that of the first row or the second one, so that none has most of them."""
    chunk = np.searchsorted(firsts, _own_and_other(pairs)[0], side="right") - 1
    order = np.argsort(chunk, kind="stable")
    return tuple(np.split(pairs[order], np.searchsorted(chunk[order], np.arange(1, len(firsts)))))


def _own_and_other(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row in whose chunk a pair is compared, and the other one."""
    a, b = rows_in(pairs)
    turned = (a + b) % 2 == 1
    return np.where(turned, b, a), np.where(turned, a, b)


def dealt(keyed: Keyed, owners: int) -> tuple[Keyed, ...]:
    """A chunk's keys for each owner."""
    return keyed.dealt(owners)


def dealt_in_pairs(keyed: Keyed, owners: int, *common: Common) -> tuple[Keyed, ...]:
    """The same of a chunk's common keys, two at a time. `common`: of each owner."""
    keys, counts = (np.concatenate(part) for part in zip(*((one.keys, one.counts) for one in common), strict=True))
    order = np.argsort(keys)
    return paired(keyed, Common(keys[order], counts[order])).dealt(owners)


def shared(most: int, firsts: np.ndarray, *keyed: Keyed) -> tuple[Any, ...]:
    """The common keys of an owner, then each chunk's pairs of rows that share one of its rare keys."""
    pairs, common = sharing(Keyed.joined(keyed), most)
    return (common, *_to_chunks(pairs, firsts))


def of_one_question(most: int, firsts: np.ndarray, *about: pa.Table) -> tuple[np.ndarray, ...]:
    """Each chunk's pairs of rows that ask the same: each row with the `most` of the best standing."""
    table = pa.concat_tables(about).combine_chunks()
    best_first = [(name, "descending") for name in STANDING]
    order = pc.sort_indices(table, sort_keys=[*best_first, ("id", "ascending")]).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    keyed = Keyed(table["question"].to_numpy(), table["row"].to_numpy())
    return _to_chunks(among_best(keyed, ranks, most), firsts)


def signed(embedder: str, claims: pa.Table) -> np.ndarray:
    """The signatures of a chunk's questions. uint64, shape (rows, LISTS)."""
    asked = [unpacked(Claim, text).asked for text in claims["claim"].to_pylist()]
    return signatures(Embedder.cached(embedder).encode(asked)) if asked else np.empty((0, LISTS), np.uint64)


def of_near_meaning(
    number: int, count: int, min_cosine: float, firsts: np.ndarray, tables: int, *parts: Any
) -> tuple[np.ndarray, ...]:
    """Each chunk's pairs by one list of signatures. The first `tables` parts are about the rows, the others their signatures."""
    about = pa.concat_tables(parts[:tables]).combine_chunks()
    ties = np.array([hashed(one) for one in about["id"].to_pylist()], np.uint64)
    rows = about["row"].to_numpy()
    a, b = near(np.concatenate(parts[tables:]), about["salt"].to_numpy(), ties, number, count, min_cosine)
    return _to_chunks(np.unique(pairs_of(rows[a], rows[b])), firsts)


# comparing


def compared(most_open: int, tables: int, worded: int, *parts: Any) -> tuple[pa.Table, pa.Table]:
    """The contradictions among a chunk's candidates, and the closest `most_open` pairs that the rules leave open.

    The first `tables` parts are the claims of all chunks, the next `worded` are pairs of rows by their words, the others pairs
    by the meaning of their questions. These and equal questions come before what is close in words alone.
    """
    pairs = np.unique(np.concatenate(parts[tables:]))
    meant = np.isin(pairs, np.concatenate([np.empty(0, np.uint64), *parts[tables + worded :]]))
    own, other = _own_and_other(pairs)
    order = np.argsort(other, kind="stable")
    own, other, meant = own[order], other[order], meant[order]
    needed = np.unique(own)
    mine = {row: claim for table in parts[:tables] for row, claim in _claims(table, needed).items()}
    found: list[Contradiction] = []
    unsettled: list[dict[str, Any]] = []
    for table in parts[:tables]:
        here = slice(*np.searchsorted(other, _range(table)))
        theirs = _claims(table, np.unique(other[here]))
        for row, partner, near_by in zip(*(side[here].tolist() for side in (own, other, meant)), strict=True):
            a, b = sorted((mine[row], theirs[partner]), key=lambda claim: claim.id)
            if a.id == b.id:  # the input holds a row twice
                continue
            if one := conflict(a, b):
                found.append(one)
            elif most_open:
                alike = near_by or a.question == b.question
                if opened := left_open(a, b, 0.0 if alike else LEAST_CLOSE):
                    close = opened.closeness + alike
                    unsettled.append({"first": a.id, "second": b.id, "closeness": close, "open": packed(opened)})
        unsettled = _closest(unsettled, most_open)
    return to_table(Contradiction, found), pa.Table.from_pylist(unsettled, schema=OPEN)


def _range(table: pa.Table) -> tuple[int, int]:
    """The first row of a table of claims, and the one behind its last."""
    rows = table["row"]
    return (rows[0].as_py(), rows[-1].as_py() + 1) if len(rows) else (0, 0)


def _claims(table: pa.Table, rows: np.ndarray) -> dict[int, Claim]:
    """Those of a table's claims that belong to the rows, which rise."""
    wanted = rows[slice(*np.searchsorted(rows, _range(table)))]
    places = np.searchsorted(table["row"].to_numpy(), wanted)
    texts = table["claim"].take(pa.array(places)).to_pylist()
    return {row: unpacked(Claim, text) for row, text in zip(wanted.tolist(), texts, strict=True)}


def _closest(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The closest pairs, each once, as a table may hold a row twice."""
    each = {(row["first"], row["second"]): row for row in sorted(rows, key=lambda row: row["closeness"])}
    return sorted(each.values(), key=lambda row: (-row["closeness"], row["first"], row["second"]))[:most]


def chosen(most: int, slices: int, *parts: pa.Table) -> tuple[pa.Table, ...]:
    """The closest `most` of all open pairs, each once, in so many parts of about one size."""
    keys = [("closeness", "descending"), ("first", "ascending"), ("second", "ascending")]
    table = pa.concat_tables(parts).sort_by(keys).combine_chunks()
    pairs = np.stack([table[name].to_numpy(zero_copy_only=False) for name in ("first", "second")])
    new = np.append(np.ones(min(1, table.num_rows), bool), (pairs[:, 1:] != pairs[:, :-1]).any(axis=0))
    rows = np.flatnonzero(new)[:most]
    return tuple(table.take(pa.array(rows[part::slices])) for part in range(slices))


def settled(chunks: int, *parts: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The table of contradictions, each once, by their ids; and the rows that go (`row`, `id`, `evidence`).

    The first `chunks` parts are about the rows, the others contradictions.
    """
    about = pa.concat_tables([part.select(["row", "id"]) for part in parts[:chunks]])
    found = {one.id: one for table in parts[chunks:] for one in from_table(Contradiction, table)}
    ordered = sorted(found.values(), key=lambda one: (one.first, one.second, one.found_by))
    lost: dict[str, str] = {}
    for one in ordered:
        for id_, evidence in one.evidence():
            lost.setdefault(id_, evidence)
    gone = about.filter(pc.is_in(about["id"], pa.array(lost, pa.string())))
    told = pa.array([lost[id_] for id_ in gone["id"].to_pylist()], pa.string())
    return to_table(Contradiction, ordered), gone.append_column("evidence", told)


@dataclasses.dataclass(frozen=True)
class Candidates:
    """The pairs that are worth comparing in one chunk, in several arrays each: handles."""

    by_words: list[Handle]
    by_meaning: list[Handle]


@dataclasses.dataclass(frozen=True)
class Meaning:
    """How questions are found that mean nearly the same."""

    embedder: str  # its location
    neighbours: int  # of a row, at most, by each list
    min_cosine: float


def candidates(
    tasks: Tasks, firsts: np.ndarray, parts: Sequence[Claimed], most: int, meaning: Meaning | None = None
) -> list[Candidates]:
    """What is worth comparing in each chunk. `most`: rows that may share a key."""
    chunks, owners = len(parts), min(len(parts), OWNERS)
    about = [part.about for part in parts]
    keys = [tasks.call(dealt, part.keyed, owners, parts=owners) for part in parts]
    rare = [tasks.call(shared, most, firsts, *(key[one] for key in keys), parts=chunks + 1) for one in range(owners)]
    keys = [
        tasks.call(dealt_in_pairs, part.keyed, owners, *(found[0] for found in rare), parts=owners) for part in parts
    ]
    two = [tasks.call(shared, most, firsts, *(key[one] for key in keys), parts=chunks + 1) for one in range(owners)]
    worded = [pairs[1:] for pairs in (*rare, *two)]
    worded.append(tasks.call(of_one_question, most, firsts, *about, parts=chunks))
    meant: list[list[Handle]] = []
    if meaning:
        signs = [tasks.call(signed, meaning.embedder, part.claims) for part in parts]
        how = (meaning.neighbours, meaning.min_cosine, firsts, chunks)
        meant = [tasks.call(of_near_meaning, one, *how, *about, *signs, parts=chunks) for one in range(LISTS)]
    return [Candidates([w[chunk] for w in worded], [m[chunk] for m in meant]) for chunk in range(chunks)]


def comparison(
    tasks: Tasks, parts: Sequence[Claimed], pairs: Sequence[Candidates], most_open: int = 0
) -> tuple[list[Handle], list[Handle]]:
    """For each chunk a table of contradictions, and one of open pairs (`OPEN`), the closest `most_open` of them."""
    claims = [part.claims for part in parts]
    made = [
        tasks.call(
            compared, most_open, len(claims), len(its.by_words), *claims, *its.by_words, *its.by_meaning, parts=2
        )
        for its in pairs
    ]
    return [found for found, _ in made], [unsettled for _, unsettled in made]
