"""Candidate pairs by shared keys."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from metier.text.blocking import PAIRED, neighbours


def test_rare_keys_make_pairs_and_common_ones_do_not():
    keys = {f"r{i}": {"the", "x" if i < 2 else f"own{i}"} for i in range(10)}
    assert list(neighbours(keys, most=5)) == [("r0", "r1")]


def test_two_common_keys_make_a_pair_together():
    keys = {f"r{i}": {"fee"} for i in range(10)} | {f"s{i}": {"card"} for i in range(10)}
    keys |= {"a": {"fee", "card"}, "b": {"card", "fee"}}
    assert list(neighbours(keys, most=5)) == [("a", "b")]


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), max_size=4), max_size=12))
def test_with_room_enough_all_that_share_a_key_meet_whatever_the_order(rows):
    keys = {str(i): row for i, row in enumerate(rows)}
    shared = {(a, b) for a, b in itertools.combinations(sorted(keys), 2) if keys[a] & keys[b]}
    assert set(neighbours(keys, most=100)) == shared
    assert list(neighbours(dict(reversed(keys.items())), most=3)) == list(neighbours(keys, most=3))


@given(st.integers(1, 60))
def test_the_cost_of_a_row_is_bounded(rows):
    keys = {str(i): {"a", "b", "c", f"own{i % 7}"} for i in range(rows)}
    most = 4
    per_row = (4 + PAIRED * (PAIRED - 1) // 2) * most
    assert len(list(neighbours(keys, most))) <= rows * per_row
