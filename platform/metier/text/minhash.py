"""MinHash signatures of shingle sets, and the bands by which similar ones meet.

MinHash: Broder 1997. One 64-bit hash a shingle, then `permutations` maps x -> high half of (a x + b) modulo 2^64 with odd a
(multiply-shift, Dietzfelbinger 1996: 64 bits throughout, as products that rarely pass the modulus leave all maps in one order).
Banding: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4. What shares a band is a candidate, to be verified.
"""

from __future__ import annotations

import functools

import numpy as np
import xxhash

RECALL = 0.995  # of pairs at the threshold itself; those above it are found more surely


@functools.cache
def _maps(permutations: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(61)
    multiply, add = generator.integers(0, 1 << 64, size=(2, permutations), dtype=np.uint64)
    return multiply | np.uint64(1), add


def signature(hashes: np.ndarray, permutations: int) -> np.ndarray:
    """The MinHash signature of a set of shingle hashes (uint64, at least one). uint32, shape (permutations,)."""
    multiply, add = _maps(permutations)
    mapped = hashes[:, None] * multiply + add  # wraps modulo 2^64
    return (mapped.min(axis=0) >> np.uint64(32)).astype(np.uint32)


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


def band_keys(signature_: np.ndarray, bands: int, rows: int, salt: str = "") -> list[str]:
    """One 64-bit key in hexadecimal for each band. Signatures of another `salt` never meet."""
    used = signature_[: bands * rows].reshape(bands, rows)
    return [xxhash.xxh3_64_hexdigest(f"{i}:{salt}:".encode() + row.tobytes()) for i, row in enumerate(used)]
