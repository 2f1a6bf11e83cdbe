"""From band keys to clusters: rows that share a key are candidates, every join is verified, and large buckets stay cheap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metier.text.kernels import equal_keys, join_alike, link, represent, roots
from metier.text.shingles import Sets, slots_for

_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # neighbours go to different groups


@dataclass(frozen=True)
class Buckets:
    """Groups of rows that share a key: `members[offsets[i]:offsets[i + 1]]`, rising, at least two."""

    members: np.ndarray  # int64
    offsets: np.ndarray  # int64

    @classmethod
    def of(cls, parts: Sequence[Buckets]) -> Buckets:
        """Several as one."""
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(np.concatenate([part.members for part in parts]), np.concatenate([[0], np.cumsum(sizes)]))

    def reaching(self, row: int) -> Buckets:
        """Those that hold this row or a later one."""
        return self._only(self.members[self.offsets[1:] - 1] >= row)

    def of_at_most(self, rows: int) -> Buckets:
        """Those of so many rows or fewer."""
        return self._only(np.diff(self.offsets) <= rows)

    def _only(self, wanted: np.ndarray) -> Buckets:
        sizes = np.diff(self.offsets)
        return Buckets(self.members[np.repeat(wanted, sizes)], np.concatenate([[0], np.cumsum(sizes[wanted])]))


def buckets_of(keys: np.ndarray) -> Buckets:
    """The rows that share a key. uint64, shape (rows,).

    The row's number takes the place of the key's low bits, so that one sort of plain integers does it (a vectorised one);
    within what is equal then, the whole keys are compared.
    """
    number = len(keys)
    low = np.uint64((1 << max(1, (number - 1).bit_length())) - 1)
    packed = (keys & ~low) | np.arange(number, dtype=np.uint64)
    packed.sort()
    members, offsets = np.empty(number, np.int64), np.empty(number // 2 + 1, np.int64)
    count, groups = equal_keys(packed, low, keys, members, offsets)
    return Buckets(members[:count].copy(), offsets[: groups + 1].copy())


@dataclass(frozen=True)
class Candidates:
    """Rows that are in a bucket, rising, and the group that each was dealt to."""

    rows: np.ndarray  # int64
    groups: np.ndarray  # int64

    def between(self, first: int, end: int) -> Candidates:
        """Those from the row `first` up to, not including, `end`."""
        low, high = np.searchsorted(self.rows, (first, end))
        return Candidates(self.rows[low:high], self.groups[low:high])


def dealt(rows: int, buckets: Buckets, groups: int) -> tuple[Candidates, list[Buckets]]:
    """All candidates among `rows` rows dealt out to groups, and each group's buckets, in places among its own candidates.

    What a chain of buckets connects stays in one group: rows of two groups need never be compared.
    """
    parent = np.arange(rows)
    link(parent, buckets.members, buckets.offsets)
    found = np.unique(buckets.members)
    group_of = (roots(parent)[found].astype(np.uint64) * _SPREAD >> np.uint64(33)) % np.uint64(groups)
    candidates = Candidates(found, group_of.astype(np.int64))
    sizes = np.diff(buckets.offsets)
    owner = candidates.groups[np.searchsorted(found, buckets.members[buckets.offsets[:-1]])]
    parts = []
    for group in range(groups):
        members = buckets.members[np.repeat(owner == group, sizes)]
        places = np.searchsorted(found[candidates.groups == group], members)
        parts.append(Buckets(places, np.concatenate([[0], np.cumsum(sizes[owner == group])])))
    return candidates, parts


@dataclass(frozen=True)
class Outcome:
    """For each row: the row that is kept in its place, or -1 where it stays; how similar the two are; and its cluster."""

    kept_by: np.ndarray  # int64
    similarity: np.ndarray  # float64
    cluster: np.ndarray  # int64, the number of one of its rows


def clusters(buckets: Buckets, sets: Sets, threshold: float) -> np.ndarray:
    """For each row the number of one row of its cluster: rows of one bucket that are alike, and whatever they connect."""
    slots = slots_for(int((sets.ends - sets.starts).max(initial=1)))
    parent = np.arange(len(sets.starts))
    join_alike(parent, buckets.members, buckets.offsets, sets.values, sets.starts, sets.ends, threshold, slots)
    found: np.ndarray = roots(parent)
    return found


def deduplicated(
    buckets: Buckets, sets: Sets, ranks: np.ndarray, fixed: np.ndarray, threshold: float, floor: float
) -> Outcome:
    """Clusters of all rows that are in a bucket and alike, and the rows that represent them.

    `ranks`: 0 is the best row. `fixed`: rows that stay in any case.
    """
    number = len(ranks)
    slots = slots_for(int((sets.ends - sets.starts).max(initial=1)))
    cluster = clusters(buckets, sets, threshold)
    ranked = np.lexsort((ranks, cluster))
    offsets = np.append(np.flatnonzero(np.diff(cluster[ranked], prepend=-1)), number)
    outcome = Outcome(np.empty(number, np.int64), np.empty(number), cluster)
    arrays = (sets.values, sets.starts, sets.ends, fixed, floor, slots, outcome.kept_by, outcome.similarity)
    represent(ranked, offsets, *arrays)
    return outcome
