"""Neighbours by sorted signatures against neighbours by comparing all."""

from __future__ import annotations

import numpy as np
import pytest

from metier.retrieval.nearest import LISTS, near, signatures

GROUPS, EACH = 150, 4


def cosines(vectors: np.ndarray) -> np.ndarray:
    return vectors @ vectors.T


@pytest.fixture(scope="module")
def vectors():
    """Groups of vectors at a cosine of about 0.9, all groups nearly orthogonal."""
    chooser = np.random.default_rng(1)
    centres = np.repeat(chooser.standard_normal((GROUPS, 64)), EACH, axis=0)
    made = (centres + 0.33 * chooser.standard_normal(centres.shape)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def found(vectors, count=8, least=0.7, salts=None, ties=None) -> set[tuple[int, int]]:
    rows = np.arange(len(vectors), dtype=np.uint64)
    salts = np.zeros(len(rows), np.uint64) if salts is None else salts
    ties, signed = rows if ties is None else ties, signatures(vectors)
    lists = [near(signed, salts, ties, number, count, least) for number in range(LISTS)]
    return {(min(p), max(p)) for a, b in lists for p in zip(a.tolist(), b.tolist(), strict=True)}


def test_nearly_all_that_are_near_are_found_and_hardly_any_other(vectors):
    alike = np.argwhere(np.triu(cosines(vectors) >= 0.8, 1))
    pairs = found(vectors)
    assert len(alike) > GROUPS * 5
    assert sum((a, b) in pairs for a, b in alike.tolist()) >= 0.97 * len(alike)
    assert min(cosines(vectors)[a, b] for a, b in pairs) > 0.55


def test_a_row_has_a_bounded_number_of_neighbours_however_many_are_equal():
    same = np.repeat(np.eye(8, dtype=np.float32)[:1], 1000, axis=0)
    pairs = found(same, count=3)
    assert 1000 <= len(pairs) <= 3 * 1000 * LISTS


def test_rows_of_different_salts_never_meet(vectors):
    salts = np.arange(len(vectors), dtype=np.uint64) % 2
    pairs = found(vectors, salts=salts)
    assert pairs
    assert all(salts[a] == salts[b] for a, b in pairs)


def test_the_order_of_rows_changes_nothing(vectors):
    chooser = np.random.default_rng(2)
    crowd = np.concatenate([vectors, vectors[:100]])  # equal ones are told apart by their ties alone
    order = chooser.permutation(len(crowd))
    back = {
        (min(p), max(p))
        for a, b in found(crowd[order], 2, ties=order.astype(np.uint64))
        for p in [(order[a], order[b])]
    }
    assert back == found(crowd, 2)


def test_nothing_gives_nothing():
    assert found(np.empty((0, 8), np.float32)) == found(np.eye(8, dtype=np.float32)[:1]) == set()
