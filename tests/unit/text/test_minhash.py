"""Signatures against datasketch as the oracle, and bands against the probability that they promise."""

from __future__ import annotations

import numpy as np
import pytest

from metier.text.minhash import RECALL, band_keys, found_share, lsh_shape, signature
from metier.text.shingles import jaccard, shingles


def overlapping(share: float, size: int, generator) -> tuple[np.ndarray, np.ndarray]:
    """Two random sets of hashes of about this Jaccard similarity."""
    common = round(size * 2 * share / (1 + share))
    pool = generator.integers(0, 1 << 63, size=2 * size - common, dtype=np.uint64)
    return np.sort(pool[:size]), np.sort(np.concatenate([pool[:common], pool[size:]]))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_estimate_is_as_good_as_datasketch_s(share):
    from datasketch import MinHash

    generator = np.random.default_rng(7)
    ours, theirs = [], []
    for _ in range(40):
        a, b = overlapping(share, 60, generator)
        true = jaccard(a, b)
        ours.append(np.mean(signature(a, 128) == signature(b, 128)) - true)
        sketches = [MinHash(128), MinHash(128)]
        for sketch, hashes in zip(sketches, (a, b), strict=True):
            sketch.update_batch([h.tobytes() for h in hashes])
        theirs.append(sketches[0].jaccard(sketches[1]) - true)
    assert abs(np.mean(ours)) < 0.02
    assert np.std(ours) < 1.5 * np.std(theirs)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.7, 0.8, 0.95, 1.0])
def test_the_bands_find_nearly_all_pairs_at_the_threshold(threshold):
    bands, rows = lsh_shape(threshold, 128)
    assert bands * rows <= 128
    assert found_share(threshold, bands, rows) >= RECALL
    assert found_share(threshold / 3, bands, rows) < 0.995


def test_pairs_at_the_threshold_do_share_a_band():
    generator = np.random.default_rng(11)
    shape = lsh_shape(0.8, 128)

    def meet(share):
        a, b = overlapping(share, 90, generator)
        return bool(set(band_keys(signature(a, 128), *shape)) & set(band_keys(signature(b, 128), *shape)))

    assert np.mean([meet(0.81) for _ in range(200)]) >= 0.97
    assert np.mean([meet(0.3) for _ in range(200)]) <= 0.1


def test_another_salt_never_meets():
    one = signature(shingles("the same words in both", 2), 32)
    assert not set(band_keys(one, 8, 4, "x")) & set(band_keys(one, 8, 4, "y"))
    assert band_keys(one, 8, 4, "x") == band_keys(one.copy(), 8, 4, "x")
