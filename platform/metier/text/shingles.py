"""Word shingles of a text as hashes, and how much two sets of them share. Plain functions over sorted arrays."""

from __future__ import annotations

import unicodedata

import numpy as np
import xxhash

from metier.text.words import wording


def normalised(text: str) -> str:
    """The text in one form of Unicode, one case and single spaces; its marks stay, as `-1` is not `1`."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(text: str, words: int) -> np.ndarray:
    """The hashes of all runs of `words` words, sorted, once each; a shorter text is one shingle. uint64, shape (n,)."""
    found = wording(text)
    runs = {" ".join(found[i : i + words]) for i in range(max(1, len(found) - words + 1))}
    hashes = (xxhash.xxh3_64_intdigest(run.encode("utf-8", "surrogatepass")) for run in runs)
    return np.sort(np.fromiter(hashes, dtype=np.uint64, count=len(runs)))


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Shared over all shingles of two sets, in [0, 1]. Neither may be empty."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)
