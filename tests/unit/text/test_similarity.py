"""Clusters: the components of the verified pairs, in any order, without comparing what is joined already."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.kernels import join_alike, roots
from metier.text.shingles import shingle_sets, slots_for, texts_of
from metier.text.similarity import Buckets, buckets_of, dealt, deduplicated

TEXTS = st.lists(st.sets(st.sampled_from("abcdef"), min_size=1, max_size=4), min_size=1, max_size=9)
ROWS = st.integers(0, 8)
BUCKETS = st.lists(st.lists(ROWS, min_size=2, max_size=9, unique=True), max_size=4)


def sets_of(texts):
    return shingle_sets(texts_of(pa.array([" ".join(sorted(text)) for text in texts])), 1)


def buckets(lists) -> Buckets:
    members = np.array([row for one in lists for row in one], np.int64)
    return Buckets(members, np.cumsum([0, *map(len, lists)]))


def share(a, b):
    return len(a & b) / len(a | b)


def components(lists, texts, threshold):
    """By brute force: all pairs of a bucket that are alike, closed over."""
    group = {i: {i} for i in range(len(texts))}
    for one in lists:
        for a in one:
            for b in one:
                if share(texts[a], texts[b]) >= threshold:
                    whole = group[a] | group[b]
                    group |= dict.fromkeys(whole, whole)
    return {frozenset(g) for g in group.values()}


@given(TEXTS, BUCKETS)
def test_clusters_are_the_components_of_the_verified_pairs(texts, lists):
    lists = [[row for row in one if row < len(texts)] for one in lists]
    sets, given_ = sets_of(texts), buckets(lists)
    parent = np.arange(len(texts))
    join_alike(parent, given_.members, given_.offsets, sets.values, sets.starts, sets.ends, 0.5, slots_for(8))
    root = roots(parent)
    assert {frozenset(np.flatnonzero(root == r)) for r in set(root)} == components(lists, texts, 0.5)


def test_a_bucket_of_copies_costs_a_comparison_each():
    rows = 100_000
    sets = sets_of([{"a"}] * rows)
    parent, one = np.arange(rows), buckets([range(rows)])
    compared = join_alike(parent, one.members, one.offsets, sets.values, sets.starts, sets.ends, 0.5, slots_for(8))
    assert compared == rows - 1
    assert set(roots(parent)) == {0}


@given(TEXTS, BUCKETS, st.randoms())
def test_nothing_goes_that_no_staying_row_is_like_whatever_the_order(texts, lists, random):
    lists = [[row for row in one if row < len(texts)] for one in lists]
    ranks = np.array(random.sample(range(len(texts)), len(texts)))
    free = np.zeros(len(texts), bool)
    outcome = deduplicated(buckets(lists), sets_of(texts), ranks, free, 0.5, 0.4)
    for row, by in enumerate(outcome.kept_by):
        if by >= 0:
            assert outcome.kept_by[by] < 0
            assert ranks[by] < ranks[row]
            assert outcome.similarity[row] == pytest.approx(share(texts[by], texts[row])) != 0
            assert outcome.similarity[row] >= 0.4
    for cluster in components(lists, texts, 0.5):
        assert outcome.kept_by[min(cluster, key=lambda row: ranks[row])] < 0


@given(st.lists(st.integers(0, 5), max_size=40), st.booleans())
def test_buckets_hold_the_rows_of_equal_keys(values, low_bits_only):
    keys = np.array(values, np.uint64) << np.uint64(0 if low_bits_only else 50)
    found = buckets_of(keys)
    rows = [list(found.members[a:b]) for a, b in zip(found.offsets, found.offsets[1:], strict=False)]
    expected = [[i for i, v in enumerate(values) if v == key] for key in set(values)]
    assert sorted(rows) == sorted(one for one in expected if len(one) > 1)


def test_a_fixed_row_stays_although_a_better_one_is_like_it():
    texts, fixed = [{"a"}, {"a"}, {"a"}], np.array([False, True, False])
    outcome = deduplicated(buckets([[0, 1, 2]]), sets_of(texts), np.arange(3), fixed, 0.5, 0.4)
    assert list(outcome.kept_by) == [-1, -1, 0]


@given(BUCKETS, st.integers(0, 9))
def test_buckets_that_reach_a_row_hold_it_or_a_later_one(lists, row):
    lists = [sorted(one) for one in lists]
    found = buckets(lists).reaching(row)
    rows = [list(found.members[a:b]) for a, b in zip(found.offsets, found.offsets[1:], strict=False)]
    assert rows == [one for one in lists if one[-1] >= row]


@given(BUCKETS, st.integers(1, 3))
def test_what_buckets_connect_is_dealt_to_one_group_and_no_bucket_is_lost(lists, groups):
    candidates, parts = dealt(9, buckets(lists), groups)
    assert list(candidates.rows) == sorted({row for one in lists for row in one})
    back = []
    for group, part in enumerate(parts):
        own = candidates.rows[candidates.groups == group]
        back += [list(own[part.members[a:b]]) for a, b in zip(part.offsets, part.offsets[1:], strict=False)]
    assert sorted(back) == sorted(lists)
    assert list(candidates.between(3, 6).rows) == [row for row in candidates.rows if 3 <= row < 6]
