"""Candidate pairs by shared keys."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metier.text.blocking import PAIRED, Keyed, among_best, neighbours, pairs_of, rows_in, sharing


def found(keys: dict[int, set[str]], most: int) -> list[tuple[int, int]]:
    return pairs(neighbours(Keyed.of(keys, keys.values()), most))


def pairs(packed: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(*(side.tolist() for side in rows_in(packed)), strict=True))


def test_rare_keys_make_pairs_and_common_ones_do_not():
    keys = {i: {"the", "x" if i < 2 else f"own{i}"} for i in range(10)}
    assert found(keys, most=5) == [(0, 1)]


def test_two_common_keys_make_a_pair_together():
    keys = {i: {"fee"} for i in range(10)} | {i: {"card"} for i in range(10, 20)}
    keys |= {20: {"fee", "card"}, 21: {"card", "fee"}}
    assert found(keys, most=5) == [(20, 21)]


def test_nothing_gives_nothing():
    assert found({}, most=5) == found({0: set(), 1: {"a"}}, most=5) == []


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), max_size=4), max_size=12))
def test_with_room_enough_all_that_share_a_key_meet_whatever_the_order(rows):
    keys = dict(enumerate(rows))
    shared = {(a, b) for a, b in itertools.combinations(keys, 2) if keys[a] & keys[b]}
    assert set(found(keys, most=100)) == shared
    assert found(dict(reversed(keys.items())), most=3) == found(keys, most=3)


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), max_size=4), max_size=12), st.integers(2, 5))
def test_owners_of_keys_find_together_what_one_finds(rows, owners):
    keyed = Keyed.of(range(len(rows)), rows)
    whole, common = sharing(keyed, 3)
    parts = [sharing(part, 3) for part in keyed.dealt(owners)]
    assert np.array_equal(np.unique(np.concatenate([one for one, _ in parts])), whole)
    assert sorted(key for _, one in parts for key in one.keys.tolist()) == common.keys.tolist()


@given(st.integers(1, 60))
def test_the_cost_of_a_row_is_bounded(rows):
    keys = {i: {"a", "b", "c", f"own{i % 7}"} for i in range(rows)}
    most = 4
    per_row = (4 + PAIRED * (PAIRED - 1) // 2) * most
    assert len(found(keys, most)) <= rows * per_row


@given(st.permutations(range(9)))
def test_of_a_key_that_many_have_each_row_meets_the_best(ranks):
    keyed = Keyed.of(range(9), [{"one question"}] * 9)
    by_rank = np.argsort(ranks)
    expected = {tuple(sorted((int(a), int(b)))) for i, a in enumerate(by_rank[:3]) for b in by_rank[i + 1 :]}
    assert set(pairs(among_best(keyed, np.array(ranks), most=3))) == expected


def test_a_pair_holds_both_rows_the_lower_first():
    assert pairs(pairs_of(np.array([7, 2**31]), np.array([3, 5]))) == [(3, 7), (5, 2**31)]
