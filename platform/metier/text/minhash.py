"""MinHash signatures of shingle sets, and the bands by which similar ones meet.

MinHash: Broder 1997. A shingle's hash x goes through maps x -> a x + b modulo 2^32 with odd a (multiply-shift, Dietzfelbinger
1996; the hash is well mixed before, and 32 bits are eight lanes of a vector). Banding: Leskovec, Rajaraman, Ullman, Mining of
Massive Datasets, section 3.4. What shares a band is a candidate, to be verified.
"""

from __future__ import annotations

import functools

import numpy as np

from metier.text.folding import table
from metier.text.kernels import sign
from metier.text.shingles import Texts, folding

RECALL = 0.995  # of pairs at the threshold itself; those above it are found more surely


@functools.cache
def _maps(permutations: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(61)
    multiply, add = generator.integers(0, 1 << 32, size=(2, permutations), dtype=np.uint32)
    return multiply | np.uint32(1), add


def found_share(similarity: float, bands: int, rows: int) -> float:
    """The probability that a pair of this Jaccard similarity shares a band."""
    return 1.0 - (1.0 - similarity**rows) ** bands


def lsh_shape(threshold: float, permutations: int) -> tuple[int, int]:
    """Bands and rows: the longest rows (so the fewest candidates) that still find `RECALL` of the pairs at the threshold.

    datasketch's own choice weighs false candidates too and finds 87 % at 0.8; here each candidate is verified, so a false
    one costs microseconds and a missed one stays in the data.
    """
    shapes = ((permutations // rows, rows) for rows in range(permutations, 1, -1))
    return next((s for s in shapes if found_share(threshold, *s) >= RECALL), (permutations, 1))


def band_keys(texts: Texts, width: int, bands: int, rows: int, salts: np.ndarray | None = None) -> np.ndarray:
    """The keys of each text's bands, over shingles of `width` words: texts that share one are candidates.

    Texts of other `salts` (uint64, one a text) never meet. uint64, shape (bands, texts).
    """
    number = len(texts)
    maps = _maps(bands * rows)
    given = np.zeros(number, np.uint64) if salts is None else salts
    keys = np.empty((bands, number), np.uint64)
    slow, places = np.empty(number, np.int64), np.arange(number)
    waiting = sign(texts.data, texts.offsets, table(), False, places, given, width, *maps, keys, slow)
    if waiting:
        places = slow[:waiting].copy()
        texts = folding(texts, places)
        sign(texts.data, texts.offsets, table(), True, places, given, width, *maps, keys, slow)
    return keys
