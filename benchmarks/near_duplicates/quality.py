"""What an engine's answer is worth, against the true similarity of all pairs that were planted."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.near_duplicates.corpus import shingles, similarity

ALIKE, STILL_ALIKE = 0.8, 0.7


@dataclass(frozen=True)
class Quality:
    """recall: of pairs of at least 0.8 that end behind one row. precision: of removed rows, those at least 0.7 like the row
    that stays for them. bereft: removed rows without any kept neighbour of at least 0.7. ideal: what removing all but one row
    of each cluster of pairs of at least 0.8 removes."""

    recall: float
    precision: float
    removed: int
    ideal: int
    bereft: int


def measured(texts: Path, truth: Path, kept_by: np.ndarray) -> dict[str, float]:
    """`kept_by`: for each row the row that stays for it, itself where it stays."""
    families = json.loads(truth.read_text())
    text = pq.read_table(texts, columns=["text"])["text"]
    found = pairs = ideal = 0
    likes: dict[int, list[int]] = {}
    for family in families:
        sets = {row: shingles(text[row].as_py()) for row in family}
        cluster = {row: {row} for row in family}
        for a, b in itertools.combinations(family, 2):
            share = similarity(sets[a], sets[b])
            if share >= STILL_ALIKE:
                likes.setdefault(a, []).append(b)
                likes.setdefault(b, []).append(a)
            if share >= ALIKE:
                pairs += 1
                found += kept_by[a] == kept_by[b]
                whole = cluster[a] | cluster[b]
                cluster |= dict.fromkeys(whole, whole)
        ideal += len(family) - len({id(c) for c in cluster.values()})
    removed = [int(row) for row in np.flatnonzero(kept_by != np.arange(len(kept_by)))]
    right = bereft = 0
    for row in removed:
        by = int(kept_by[row])
        right += (
            by in likes.get(row, [])
            or similarity(shingles(text[row].as_py()), shingles(text[by].as_py())) >= STILL_ALIKE
        )
        bereft += not any(
            kept_by[other] == other for other in [*likes.get(row, []), *([by] if by in likes.get(row, []) else [])]
        )
    return asdict(Quality(found / pairs, right / max(1, len(removed)), len(removed), ideal, bereft))
