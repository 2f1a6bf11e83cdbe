"""Shingles, their MinHash signatures and LSH bands, exact Jaccard similarity, and clusters. Plain functions over arrays.

MinHash: Broder 1997. One 64-bit hash a shingle, then `permutations` affine maps modulo the Mersenne prime 2^61 - 1.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence

import numpy as np
import xxhash

from metier.text.words import wording

PRIME = (1 << 61) - 1
IDENTIFIER = re.compile(r"(?<!`)`[^`\n]+`(?!`)|\w+(?:[._]\w+)+|\b\w*[a-z][A-Z]\w*\b|[-+]?\d[\d_,.]*")


def shingles(text: str, words: int) -> np.ndarray:
    """The hashes of all runs of `words` words, sorted, once each; a shorter text is one shingle. uint64, shape (n,)."""
    found = wording(text)
    runs = [" ".join(found[i : i + words]) for i in range(max(1, len(found) - words + 1))]
    return np.unique(
        np.array([xxhash.xxh3_64_intdigest(run.encode("utf-8", "surrogatepass")) for run in runs], dtype=np.uint64)
    )


@functools.cache
def _maps(permutations: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(61)
    multiply = generator.integers(1, 1 << 31, size=permutations, dtype=np.uint64) | np.uint64(1)
    add = generator.integers(0, 1 << 31, size=permutations, dtype=np.uint64)
    return multiply, add


def signature(hashes: np.ndarray, permutations: int) -> np.ndarray:
    """The MinHash signature of a set of shingle hashes. uint64, shape (permutations,)."""
    multiply, add = _maps(permutations)
    folded = hashes & np.uint64((1 << 32) - 1)  # 32 bits, so that the products fit into 64
    return ((folded[:, None] * multiply + add) % np.uint64(PRIME)).min(axis=0)


def band_keys(signature_: np.ndarray, bands: int, rows: int) -> list[str]:
    """One short key for each band; two documents that share one are candidates."""
    used = signature_[: bands * rows].reshape(bands, rows)
    return [f"{i}:{xxhash.xxh3_64_hexdigest(row.tobytes())}" for i, row in enumerate(used)]


@functools.cache
def lsh_shape(threshold: float, permutations: int) -> tuple[int, int]:
    """Bands and rows that find pairs of Jaccard `threshold` and more; misses weigh more, as candidates are verified."""
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=permutations, weights=(0.1, 0.9))
    return index.b, index.r


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Shared over all shingles of two sorted sets, in [0, 1]."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared) if len(a) or len(b) else 1.0


def identifiers(text: str) -> frozenset[str]:
    """What makes a templated sentence be about one thing: names in code, dotted or underscored words, numbers."""
    return frozenset(token.strip("`.,").lower() for token in IDENTIFIER.findall(text))


class Clusters:
    """Union-find over keys (Tarjan 1975, path halving); the smallest key of a cluster is its root."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def root(self, key: str) -> str:
        """The name of the cluster that `key` is in."""
        parent = self._parent
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    def join(self, a: str, b: str) -> None:
        """Makes the clusters of two keys one."""
        first, second = sorted((self.root(a), self.root(b)))
        self._parent[second] = first

    def groups(self) -> dict[str, list[str]]:
        """Members by root, sorted."""
        found: dict[str, list[str]] = {}
        for key in sorted(self._parent):
            found.setdefault(self.root(key), []).append(key)
        return found


def candidate_pairs(buckets: Iterable[Sequence[str]]) -> Iterable[tuple[str, str]]:
    """Pairs that share a bucket: each member with the bucket's first, and with the next one. Linear in the bucket."""
    seen: set[tuple[str, str]] = set()
    for bucket in buckets:
        for i, member in enumerate(bucket[1:], 1):
            for other in {bucket[0], bucket[i - 1]}:
                pair = (other, member) if other < member else (member, other)
                if pair not in seen:
                    seen.add(pair)
                    yield pair
