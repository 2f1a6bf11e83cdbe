"""Which rows are worth comparing: those that share a rare key, or two common ones, found without looking at all pairs.

An inverted index as in blocking for record linkage (Papadakis et al. 2020, Blocking and Filtering Techniques for Entity
Resolution). A key that many rows have is not looked up by itself, so what a row costs is bounded by its own keys. The index
may be split: a key's rows must be together, and nothing else.

A pair of rows is one number, the first in its high and the second in its low half: such pairs are sorted as integers.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

PAIRED = 6  # of a row's common keys, the rarest so many are tried in pairs
_HALF = np.uint64(32)
_MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


def hashed(text: str) -> int:
    """A key, or what orders rows, from a text: 64 bits that are the same everywhere."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Keyed:
    """Which row has which key: an entry for each, and no entry twice."""

    keys: np.ndarray  # uint64
    rows: np.ndarray  # int64

    @classmethod
    def of(cls, rows: Iterable[int], keys: Iterable[Iterable[str]]) -> Keyed:
        """Rows with their keys as texts."""
        found = [(hashed(key), row) for row, its in zip(rows, keys, strict=True) for key in set(its)]
        return cls(np.array([key for key, _ in found], np.uint64), np.array([row for _, row in found], np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Keyed]) -> Keyed:
        """Several as one."""
        return cls(np.concatenate([part.keys for part in parts]), np.concatenate([part.rows for part in parts]))

    def dealt(self, owners: int) -> tuple[Keyed, ...]:
        """The entries of each owner: one key has one owner."""
        owner = self.keys % np.uint64(owners)
        return tuple(Keyed(self.keys[owner == one], self.rows[owner == one]) for one in range(owners))


@dataclass(frozen=True)
class Common:
    """Keys that too many rows have, rising, and how many."""

    keys: np.ndarray  # uint64
    counts: np.ndarray  # int64


def pairs_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rows, one from each side, as pairs, the lower row first. uint64."""
    return np.minimum(a, b).astype(np.uint64) << _HALF | np.maximum(a, b).astype(np.uint64)


def rows_in(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the second row of pairs. int64."""
    return (pairs >> _HALF).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)


def sharing(keyed: Keyed, most: int) -> tuple[np.ndarray, Common]:
    """The pairs of rows that share a key which at most `most` rows have, each once and rising; and the keys of more."""
    order = np.lexsort((keyed.rows, keyed.keys))
    keys, rows = keyed.keys[order], keyed.rows[order]
    starts = np.flatnonzero(np.diff(keys, prepend=~keys[:1]))
    sizes = np.diff(np.append(starts, len(keys)))
    ends, size = np.repeat(starts + sizes, sizes), np.repeat(sizes, sizes)
    found, at = [np.empty(0, np.uint64)], np.flatnonzero(size <= most)
    for step in range(1, most):
        at = at[at + step < ends[at]]
        if not len(at):
            break
        found.append(pairs_of(rows[at], rows[at + step]))
    many = sizes > most
    return np.unique(np.concatenate(found)), Common(keys[starts[many]], sizes[many])


def paired(keyed: Keyed, common: Common) -> Keyed:
    """The rows again, their common keys two at a time as one. `common`: of all rows."""
    if not len(common.keys):
        return Keyed(common.keys, common.counts)
    place = np.minimum(np.searchsorted(common.keys, keyed.keys), len(common.keys) - 1)
    known = common.keys[place] == keyed.keys
    keys, rows, counts = keyed.keys[known], keyed.rows[known], common.counts[place[known]]
    order = np.lexsort((keys, counts, rows))
    keys, rows = keys[order], rows[order]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    sizes = np.diff(np.append(starts, len(rows)))
    made = []
    for i, j in itertools.combinations(range(PAIRED), 2):
        at = starts[sizes > j]
        made.append(Keyed(_mixed(keys[at + i], keys[at + j]), rows[at]))
    return Keyed.joined(made)


def _mixed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One key of two, whichever comes first."""
    low, high = np.minimum(a, b) * _MIX[0], np.maximum(a, b) * _MIX[1]
    return (low ^ (low >> np.uint64(29))) + (high ^ (high >> np.uint64(31))) * _MIX[0]


def neighbours(keyed: Keyed, most: int) -> np.ndarray:
    """The pairs that share a key, or two common ones, which at most `most` rows have: all of the above, unsplit."""
    found, common = sharing(keyed, most)
    return np.union1d(found, sharing(paired(keyed, common), most)[0])


def among_best(keyed: Keyed, ranks: np.ndarray, most: int) -> np.ndarray:
    """Pairs of rows that share a key however many have it: each row with the `most` best of them. `ranks`: 0 is the best."""
    order = np.lexsort((ranks, keyed.keys))
    keys, rows = keyed.keys[order], keyed.rows[order]
    starts = np.flatnonzero(np.diff(keys, prepend=~keys[:1]))
    sizes = np.diff(np.append(starts, len(keys)))
    start = np.repeat(starts, sizes)
    found, at = [np.empty(0, np.uint64)], np.arange(len(keys))
    for step in range(most):
        at = at[at - start[at] > step]
        if not len(at):
            break
        found.append(pairs_of(rows[start[at] + step], rows[at]))
    return np.unique(np.concatenate(found))
