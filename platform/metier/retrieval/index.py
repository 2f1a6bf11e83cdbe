"""The passage index: LanceDB with vectors and full text, searched three ways and fused by rank.

Full text sees identifiers whole and in parts: `ray.data.Dataset.map_batches` is also dataset, map_batches, map and
batches. Questions about code name things exactly, which vectors blur and words keep; other questions are the reverse.
Where a question names a document by its title, the passage that opens that document (an API object's signature and
summary) gets a vote of its own: it is long, so full text ranks it low, and it holds what is asked most.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from metier.errors import InputError
from metier.records import Passage
from metier.retrieval.embedding import Embedder

TABLE = "passages"
CANDIDATES = 30  # of each kind of search, before fusion
# Weighted reciprocal rank fusion: weight / (offset + rank), rank from 0. Cormack et al. (2009) add 60, over far longer
# lists. On 205 questions about Ray's API these find a passage with the whole answer among the first three for 97.6 %;
# without the opening passages 94.1 %, with full text alone 94.1 %, with vectors alone 71.2 %.
RANK_OFFSET = 20
TEXT_WEIGHT = 1.0
VECTOR_WEIGHT = 0.3
OPENING_WEIGHT = 0.5
SPLITS = ("train", "dev", "final")
MOST_NAMES = 500  # looked up at once

_TOKEN = re.compile(r"\w+(?:\.\w+)*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_MARKED = re.compile(r"[\"“`]([^\"“”`\n]{2,120})[\"”`]")
_COLUMNS = ("id", "root_id", "uri", "title", "section", "text", "position", "split", "effective", "superseded")


def terms(text: str) -> list[str]:
    """The words of a text as full text search sees them, lower-case: identifiers whole, at dots, and in their parts."""
    found = []
    for token in _TOKEN.findall(text):
        pieces = token.split(".")
        found.append(token.lower())
        if len(pieces) > 1:
            found += [".".join(pieces[-2:]).lower(), *(p.lower() for p in pieces)]
        for piece in pieces:
            parts = _PART.findall(piece)
            if len(parts) > 1:
                found += [p.lower() for p in parts]
    return found


def rows_of(passages: Iterable[Passage], embedder: Embedder) -> pa.Table:
    """The rows of the index for these passages, embedded; in the order of their ids, for that in which they come is nobody's
    choice."""
    ordered = sorted(passages, key=lambda p: p.id)
    vectors = embedder.encode([p.text for p in ordered])
    flat = pa.array(vectors.reshape(-1), pa.float32())
    return pa.table(
        {name: [getattr(p, name) for p in ordered] for name in _COLUMNS}
        | {
            "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[-1]),
            "name": [p.title.lower() for p in ordered],
            "parent_id": [p.parent_ids[0] if p.parent_ids else "" for p in ordered],
            "terms": [" ".join(terms(f"{p.title} {p.title} {p.text}")) for p in ordered],
        }
    )


def build(parts: Iterable[pa.Table], folder: Path) -> int:
    """Writes the index into `folder`, part after part of what `rows_of` gave; gives the number of passages.

    Raises InputError when there are none.
    """
    table: Any = None
    for part in parts:
        if table is None:
            table = _connected(folder).create_table(TABLE, part, mode="overwrite")
        else:
            table.add(part)
    if table is None:
        raise InputError("the index needs passages, and there are none")
    table.create_fts_index(
        "terms",
        base_tokenizer="whitespace",
        stem=False,
        remove_stop_words=False,
        ascii_folding=False,
        max_token_length=200,
    )
    table.create_scalar_index("name", index_type="BTREE")
    return int(table.count_rows())


def _connected(folder: Path) -> Any:
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns that a new table is new
    import lancedb

    return lancedb.connect(str(folder))


class Retriever:
    """Searches an index that `build` wrote."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        if not (folder / f"{TABLE}.lance").exists():
            raise InputError(f"{folder}: there is no passage index; the index stage makes one")
        self._table = _connected(folder).open_table(TABLE)
        self._embedder = embedder

    def search(self, question: str, k: int, split: str = "") -> list[Passage]:
        """The `k` best passages, best first; with `split` only of documents of that split."""
        return self.search_many([question], k, split)[0]

    def search_many(self, questions: Sequence[str], k: int, split: str = "") -> list[list[Passage]]:
        """The same for many questions, which are embedded together. Raises InputError for an unknown split."""
        if not questions:
            return []
        if split and split not in SPLITS:
            raise InputError(f"split {split!r}: one of {', '.join(SPLITS)} is needed")
        vectors = self._embedder.encode(questions)
        openings = self._openings({name for q in questions for name in _names_in(q)}, split)
        found = []
        for question, vector in zip(questions, vectors, strict=True):
            lists = (
                (VECTOR_WEIGHT, self._near(vector, max(k, CANDIDATES), split)),
                (TEXT_WEIGHT, self._matching(question, max(k, CANDIDATES), split)),
                (OPENING_WEIGHT, [row for name in _names_in(question) for row in openings.get(name, ())]),
            )
            found.append([_passage(row) for row in fused(lists)[:k]])
        return found

    def _near(self, vector: Any, limit: int, split: str) -> list[dict[str, Any]]:
        query = self._table.search(vector, vector_column_name="vector").limit(limit)
        rows = _of_split(query, split).to_list()
        return sorted(rows, key=lambda row: (row["_distance"], row["id"]))

    def _matching(self, question: str, limit: int, split: str) -> list[dict[str, Any]]:
        from lancedb.query import MatchQuery

        words = " ".join(dict.fromkeys(terms(question)))
        if not words:
            return []
        match: Any = MatchQuery  # its stub asks for what has defaults
        query = self._table.search(match(words, "terms"), query_type="fts").limit(limit)
        rows = _of_split(query, split).to_list()
        return sorted(rows, key=lambda row: (-row["_score"], row["id"]))

    def _openings(self, names: set[str], split: str) -> dict[str, list[dict[str, Any]]]:
        """The first passages of the documents that have one of these titles, by title."""
        found: dict[str, list[dict[str, Any]]] = {}
        ordered = sorted(names)
        for start in range(0, len(ordered), MOST_NAMES):
            listed = ", ".join("'" + n.replace("'", "''") + "'" for n in ordered[start : start + MOST_NAMES])
            query = self._table.search().where(f"position = 0 AND name IN ({listed})" + _and_split(split))
            for row in sorted(query.limit(MOST_NAMES * 10).to_list(), key=lambda r: r["id"]):
                found.setdefault(row["name"], []).append(row)
        return found


def fused(lists: Iterable[tuple[float, Sequence[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Rows of several ranked lists, each with its weight, as one ranking; equal scores stand by id."""
    scores: dict[str, float] = {}
    rows: dict[str, dict[str, Any]] = {}
    for weight, hits in lists:
        for rank, row in enumerate(hits):
            scores[row["id"]] = scores.get(row["id"], 0.0) + weight / (RANK_OFFSET + rank)
            rows.setdefault(row["id"], row)
    return [rows[one] for one in sorted(scores, key=lambda one: (-scores[one], one))]


def _names_in(question: str) -> Iterator[str]:
    """What may be a title: every identifier, and whatever stands in quotes; lower-case, once each, in order."""
    found = [*_TOKEN.findall(question), *(m.strip() for m in _MARKED.findall(question))]
    yield from dict.fromkeys(name.lower() for name in found)


def _of_split(query: Any, split: str) -> Any:
    return query.where(f"split = '{split}'", prefilter=True) if split else query


def _and_split(split: str) -> str:
    return f" AND split = '{split}'" if split else ""


def _passage(row: dict[str, Any]) -> Passage:
    parents = (row["parent_id"],) if row["parent_id"] else ()
    return Passage(**{name: row[name] for name in _COLUMNS}, parent_ids=parents)
