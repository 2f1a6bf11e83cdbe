"""Shingles and the similarity of two sets of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.folding import folded
from metier.text.shingles import jaccard, shingle_sets, shingles, texts_of

TEXTS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=12).map(" ".join)


def exact(*texts: str) -> list[tuple[int, ...]]:
    return [tuple(row) for row in shingle_sets(texts_of(pa.array(texts)), 2).exact]


def test_layout_and_marks_do_not_change_the_shingles():
    assert set(shingles("A b,\n c d!", 2)) == set(shingles("a b c d", 2))
    assert len(shingles("a b c d", 2)) == 3
    assert len(shingles("a b a b a", 2)) == 2
    assert len(shingles("a b", 3)) == len(shingles("", 3)) == 1


@given(TEXTS, TEXTS)
def test_similarity_is_that_of_the_sets(a, b):
    def runs(text):
        words = text.split()
        return {" ".join(words[i : i + 2]) for i in range(max(1, len(words) - 1))}

    expected = len(runs(a) & runs(b)) / len(runs(a) | runs(b))
    assert jaccard(shingles(a, 2), shingles(b, 2)) == pytest.approx(expected)


def test_layout_and_case_do_not_make_a_text_another_and_marks_do():
    one, same, shorter, apart, joined = exact(
        "  The ＶＡＬＵＥ\tis -1 ", "the value is -1", "the value is 1", "a b", "ab"
    )
    assert one == same
    assert one != shorter
    assert apart != joined


@given(st.lists(st.text(max_size=30), max_size=6))
def test_the_kernel_folds_as_python_does(texts):
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    raw = shingle_sets(texts_of(pa.array(texts, pa.string())), 2)
    python = shingle_sets(texts_of(pa.array([folded(text) for text in texts], pa.string())), 2, trusted=True)
    assert np.array_equal(raw.exact, python.exact)
    assert all(set(raw[i]) == set(python[i]) for i in range(len(texts)))


def test_scripts_without_spaces_have_words_too():
    assert jaccard(shingles("今天天气很好我们去公园", 2), shingles("今天天气很好我们去公寓", 2)) == pytest.approx(
        9 / 11
    )


def test_a_column_may_come_in_pieces_hold_nothing_and_begin_later():
    column = pa.chunked_array([["x"], [None, "a b"], ["a b"]]).slice(1)
    sets = shingle_sets(texts_of(column), 2)
    assert list(sets[1]) == list(sets[2]) == list(shingles("a b", 2))
    assert list(sets[0]) == list(shingles("", 2))


def test_bytes_that_are_no_text_are_read_to_their_end():
    data = pa.array([b"a \xf0\x9f", b"\xff\xfe b"], pa.binary())
    column = pa.Array.from_buffers(pa.string(), 2, data.buffers())
    assert len(shingle_sets(texts_of(column), 1).starts) == 2
