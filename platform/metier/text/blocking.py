"""Which rows are worth comparing: those that share a rare key, or two common ones, found without looking at all pairs.

An inverted index as in blocking for record linkage (Papadakis et al. 2020, Blocking and Filtering Techniques for Entity
Resolution). A key that many rows have is not looked up by itself, so what a row costs is bounded by its own keys.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping

PAIRED = 6  # of a row's common keys, the rarest so many are tried in pairs


def neighbours(keys: Mapping[str, Collection[str]], most: int) -> Iterator[tuple[str, str]]:
    """The pairs of rows, each once and in order, that share a key, or two, which at most `most` rows have."""
    holders = _holders(keys)
    common = {key: len(rows) for key, rows in holders.items() if len(rows) > most}
    pairs = {
        row: [f"{a}\0{b}" for a, b in itertools.combinations(sorted(_rarest(found, common)), 2)]
        for row, found in keys.items()
    }
    seen: dict[str, set[str]] = {}
    for index in (holders, _holders(pairs)):
        for rows in index.values():
            if 1 < len(rows) <= most:
                for a, b in itertools.combinations(sorted(rows), 2):
                    seen.setdefault(a, set()).add(b)
    return ((a, b) for a in sorted(seen) for b in sorted(seen[a]))


def _holders(keys: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row, its in keys.items():
        for key in set(its):
            found.setdefault(key, []).append(row)
    return found


def _rarest(keys: Collection[str], common: Mapping[str, int]) -> list[str]:
    return sorted({key for key in keys if key in common}, key=lambda key: (common[key], key))[:PAIRED]
