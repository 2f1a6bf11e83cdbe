"""Band keys against datasketch as the oracle, and against the probability that they promise."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from metier.text.minhash import RECALL, band_keys, found_share, lsh_shape
from metier.text.shingles import jaccard, shingles, texts_of


def overlapping(share: float, size: int, generator) -> list[str]:
    """Two texts of different words whose sets of words are about this similar."""
    common = round(size * 2 * share / (1 + share))
    words = [f"w{n}" for n in generator.choice(1 << 40, size=2 * size - common)]
    return [" ".join(words[:size]), " ".join(words[:common] + words[size:])]


def keys_of(texts: list[str], bands: int, rows: int, salts=None) -> np.ndarray:
    return band_keys(texts_of(pa.array(texts)), 1, bands, rows, None if salts is None else np.array(salts, np.uint64))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_estimate_is_as_good_as_datasketch_s(share):
    from datasketch import MinHash

    generator = np.random.default_rng(7)
    ours, theirs = [], []
    for _ in range(40):
        texts = overlapping(share, 60, generator)
        true = jaccard(*(shingles(text, 1) for text in texts))
        one, other = keys_of(texts, 128, 1).T  # a band of one row is a place of the signature
        ours.append(np.mean(one == other) - true)
        sketches = [MinHash(128), MinHash(128)]
        for sketch, text in zip(sketches, texts, strict=True):
            sketch.update_batch([w.encode() for w in text.split()])
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
        one, other = keys_of(overlapping(share, 90, generator), *shape).T
        return bool((one == other).any())

    assert np.mean([meet(0.81) for _ in range(200)]) >= 0.97
    assert np.mean([meet(0.3) for _ in range(200)]) <= 0.1


def test_another_salt_never_meets():
    text = "the same words in both"
    one, other, again = keys_of([text, text, text], 8, 4, [1, 2, 1]).T
    assert not set(one) & set(other)
    assert list(one) == list(again)


def test_bands_of_one_text_are_keys_of_their_own():
    assert len(set(keys_of(["a b c"], 16, 8)[:, 0])) == 16


def test_a_row_that_python_folds_gets_the_keys_of_its_folded_form():
    plain, folded_first, between = keys_of(["fix the file", "ﬁx the ﬁle", "other words here"], 16, 2).T
    assert list(plain) == list(folded_first)
    assert not set(plain) & set(between)
