"""Shingles and the similarity of two sets of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.shingles import jaccard, normalised, shingles

TEXTS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=12).map(" ".join)


def test_layout_and_marks_do_not_change_the_shingles():
    assert np.array_equal(shingles("A b,\n c d!", 2), shingles("a b c d", 2))
    assert len(shingles("a b c d", 2)) == 3
    assert len(shingles("a b", 3)) == len(shingles("", 3)) == 1


@given(TEXTS, TEXTS)
def test_similarity_is_that_of_the_sets(a, b):
    def runs(text):
        words = text.split()
        return {" ".join(words[i : i + 2]) for i in range(max(1, len(words) - 1))}

    expected = len(runs(a) & runs(b)) / len(runs(a) | runs(b))
    assert jaccard(shingles(a, 2), shingles(b, 2)) == pytest.approx(expected)


def test_normalising_keeps_the_marks_that_mean_something():
    assert normalised("  The ＶＡＬＵＥ\tis -1 ") == "the value is -1"
    assert normalised("is -1") != normalised("is 1")
