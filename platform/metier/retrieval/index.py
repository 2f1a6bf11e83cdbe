"""The passage index: LanceDB with vectors and full text, searched both ways and fused by rank.

Full text sees identifiers whole and in parts: `ray.data.Dataset.map_batches` is also dataset, map_batches, map and
batches. Questions about code name things exactly, which vectors blur and words keep; other questions are the reverse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from metier.errors import InputError
from metier.records import Passage
from metier.retrieval.embedding import Embedder

TABLE = "passages"
CANDIDATES = 30  # of each kind of search, before fusion
RANK_OFFSET = 20  # reciprocal rank fusion: 1 / (offset + rank); Cormack et al. 2009 used 60 over far longer lists
TEXT_WEIGHT = 1.0
VECTOR_WEIGHT = 0.5
SPLITS = ("train", "dev", "final")
_TOKEN = re.compile(r"\w+(?:\.\w+)*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


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


def build(passages: Iterable[Passage], embedder: Embedder, folder: Path) -> int:
    """Writes the index of `passages` into `folder`; gives their number. Raises InputError when there are none."""
    import lancedb

    rows = list(passages)
    if not rows:
        raise InputError("the index needs passages, and there are none")
    vectors = embedder.encode([p.text for p in rows])
    table = lancedb.connect(str(folder)).create_table(
        TABLE, [_row(passage, vector) for passage, vector in zip(rows, vectors, strict=True)], mode="overwrite"
    )
    table.create_fts_index(
        "terms",
        base_tokenizer="whitespace",
        stem=False,
        remove_stop_words=False,
        ascii_folding=False,
        max_token_length=200,
    )
    return len(rows)


def _row(passage: Passage, vector: Any) -> dict[str, Any]:
    columns = ("id", "root_id", "uri", "title", "section", "text", "position", "split", "effective", "superseded")
    row = {name: getattr(passage, name) for name in columns}
    return row | {"vector": vector, "parent_id": passage.parent_ids[0] if passage.parent_ids else "",
                  "terms": " ".join(terms(f"{passage.title} {passage.title} {passage.text}"))}  # fmt: skip


class Retriever:
    """Searches an index that `build` wrote."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        import lancedb

        if not (folder / f"{TABLE}.lance").exists():
            raise InputError(f"{folder}: there is no passage index; the index stage makes one")
        self._table = lancedb.connect(str(folder)).open_table(TABLE)
        self._embedder = embedder

    def search(self, question: str, k: int, split: str = "") -> list[Passage]:
        """The `k` best passages, best first; with `split` only of documents of that split."""
        return self.search_many([question], k, split)[0]

    def search_many(self, questions: Sequence[str], k: int, split: str = "") -> list[list[Passage]]:
        """The same for many questions, which are embedded together."""
        if not questions:
            return []
        if split and split not in SPLITS:
            raise InputError(f"split {split!r}: one of {', '.join(SPLITS)} is needed")
        vectors = self._embedder.encode(questions)
        return [self._fused(q, v, k, split) for q, v in zip(questions, vectors, strict=True)]

    def _fused(self, question: str, vector: Any, k: int, split: str) -> list[Passage]:
        scores: dict[str, float] = {}
        rows: dict[str, dict[str, Any]] = {}
        for weight, hits in (
            (VECTOR_WEIGHT, self._near(vector, split)),
            (TEXT_WEIGHT, self._matching(question, split)),
        ):
            for rank, row in enumerate(hits):
                scores[row["id"]] = scores.get(row["id"], 0.0) + weight / (RANK_OFFSET + rank)
                rows[row["id"]] = row
        best = sorted(scores, key=lambda one: (-scores[one], one))[:k]
        return [_passage(rows[one]) for one in best]

    def _near(self, vector: Any, split: str) -> list[dict[str, Any]]:
        query = self._table.search(vector, vector_column_name="vector").limit(CANDIDATES)
        rows = (query.where(f"split = '{split}'", prefilter=True) if split else query).to_list()
        return sorted(rows, key=lambda row: (row["_distance"], row["id"]))

    def _matching(self, question: str, split: str) -> list[dict[str, Any]]:
        from lancedb.query import MatchQuery

        words = " ".join(dict.fromkeys(terms(question)))
        if not words:
            return []
        query = self._table.search(MatchQuery(words, "terms"), query_type="fts").limit(CANDIDATES)
        rows = (query.where(f"split = '{split}'", prefilter=True) if split else query).to_list()
        return sorted(rows, key=lambda row: (-row["_score"], row["id"]))


def _passage(row: dict[str, Any]) -> Passage:
    columns = ("id", "root_id", "uri", "title", "section", "text", "position", "split", "effective", "superseded")
    parents = (row["parent_id"],) if row["parent_id"] else ()
    return Passage(**{name: row[name] for name in columns}, parent_ids=parents)
