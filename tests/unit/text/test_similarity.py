"""Clusters: the components of the verified pairs, in any order, without comparing what is joined already."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metier.text.similarity import Clusters, clusters_of

KEYS = "abcdefgh"
EDGES = st.sets(st.frozensets(st.sampled_from(KEYS), min_size=2, max_size=2))
BUCKETS = st.lists(st.lists(st.sampled_from(KEYS), min_size=2, max_size=8, unique=True), max_size=4)


def components(buckets, edges):
    """By brute force: all pairs of a bucket that are edges, closed over."""
    met = [e for e in edges if any(e <= set(b) for b in buckets)]
    group = {k: {k} for k in KEYS}
    for edge in met:
        whole = set().union(*(group[k] for k in edge))
        for key in whole:
            group[key] = whole
    return {frozenset(g) for g in group.values()}


@given(BUCKETS, EDGES, st.randoms())
def test_clusters_are_the_components_of_the_verified_pairs(buckets, edges, random):
    shuffled = [random.sample(b, len(b)) for b in random.sample(buckets, len(buckets))]
    joined = clusters_of(shuffled, lambda a, b: frozenset((a, b)) in edges)
    found: dict[str, set[str]] = {}
    for key in KEYS:
        found.setdefault(joined.root(key), set()).add(key)
    assert {frozenset(g) for g in found.values()} == components(buckets, edges)
    assert all(root == min(group) for root, group in found.items())


def test_a_bucket_of_copies_costs_a_comparison_each():
    compared = 0

    def alike(a, b):
        nonlocal compared
        compared += 1
        return True

    keys = [f"{i:06d}" for i in range(100_000)]
    assert clusters_of([keys], alike).root(keys[-1]) == keys[0]
    assert compared == len(keys) - 1


def test_a_key_that_was_never_joined_is_its_own_cluster():
    joined = Clusters()
    joined.join("b", "a")
    assert (joined.root("a"), joined.root("b"), joined.root("c")) == ("a", "a", "c")
