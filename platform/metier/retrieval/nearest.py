"""Which vectors are near one another, without comparing all: sorted lists of random-hyperplane signatures.

A bit says on which side of a random plane a vector lies, so the share of bits that differ is the angle over pi (Charikar 2002,
section 3). Vectors are sorted several times, each time by other bits first; what is near stands near in one of the lists, and
is told by all bits within a window (Ravichandran, Pantel and Hovy 2005). A row costs lists times window, however many there are.
"""

from __future__ import annotations

import numpy as np

LISTS = 16  # of 64 bits each, and all 1024 are compared: the cosine is told to about 0.03
WINDOW = 64  # places on each side of a row
_BITS = 64 * LISTS
_STRIP = 512  # rows at once: 8 MB


def signatures(vectors: np.ndarray) -> np.ndarray:
    """The signature of each vector of length 1. uint64, shape (rows, LISTS)."""
    planes = np.random.default_rng(0).standard_normal((vectors.shape[1], _BITS), np.float32)
    bits = np.packbits(vectors @ planes > 0, axis=1)
    return bits.view(">u8").astype(np.uint64)


def near(
    signed: np.ndarray, salts: np.ndarray, ties: np.ndarray, number: int, count: int, min_cosine: float
) -> tuple[np.ndarray, np.ndarray]:
    """Places of rows and, in the same order, of others near them: at most `count` to a row, by the list of this number.

    Rows of different `salts` (uint64) never meet. `ties` (uint64) orders equal rows, so that their first order does not matter.
    """
    order = np.lexsort((ties, signed[:, number], salts))
    signed, salts, rows = signed[order], salts[order], len(order)
    offsets = np.concatenate([np.arange(-WINDOW, 0), np.arange(1, WINDOW + 1)])
    most = int(_BITS * np.arccos(min_cosine) / np.pi)
    found = [np.empty((2, 0), np.int64)]
    for start in range(0, rows, _STRIP):
        here = np.arange(start, min(start + _STRIP, rows))
        there = here[:, None] + offsets
        inside = (there >= 0) & (there < rows)
        there = np.where(inside, there, 0)
        differing = np.bitwise_count(signed[here, None] ^ signed[there]).sum(2, dtype=np.int64)
        differing[~inside | (salts[here, None] != salts[there])] = _BITS
        best = np.argsort(differing, axis=1, kind="stable")[:, :count]
        a, which = np.nonzero(np.take_along_axis(differing, best, 1) <= most)
        found.append(np.stack([order[here[a]], order[there[a, best[a, which]]]]))
    a, b = np.concatenate(found, axis=1)
    return a, b
