"""The benchmark's cases are what they claim to be, and the rules stay as good as they were."""

from __future__ import annotations

import collections

import pytest

from benchmarks.contradictions.__main__ import is_planted, measured, reported
from benchmarks.contradictions.corpus import HALVES, NEIGHBOURS, Author, frames


def test_no_template_is_in_both_halves():
    development, held_out = ({f.about for f in frames(half)} for half in HALVES)
    assert not development & held_out
    assert len(development) == len(held_out) == 36


def test_every_bundle_has_one_contradiction_among_neighbours_that_leave_its_base_alone():
    bundles = collections.defaultdict(dict)
    for line in Author("development", 0).lines(2):
        bundles[line.bundle][line.role] = line
    for bundle in bundles.values():
        base = bundle.pop("base")
        assert base.fact.excludes(bundle.pop("planted").fact)
        assert set(NEIGHBOURS) - {"unit"} <= set(bundle) <= set(NEIGHBOURS)
        assert not any(base.fact.excludes(line.fact) for line in bundle.values())


def test_the_size_is_the_one_that_was_asked_for_and_the_seed_decides():
    lines = [line for half in HALVES for line in Author(half, 0).lines(13)]
    roles = collections.Counter(line.role for line in lines)
    assert roles["planted"] >= 400
    assert sum(roles[role] for role in NEIGHBOURS) >= 2000
    assert Author("held-out", 0).lines(2) == Author("held-out", 0).lines(2) != Author("held-out", 1).lines(2)


@pytest.mark.parametrize("half", HALVES)
def test_the_rules_keep_their_precision_and_recall(half):
    lines = Author(half, 7).lines(6)
    found, cost = reported(lines, 64)
    (overall,) = (row for row in measured(lines, found) if (row["domain"], row["kind"]) == ("all", "all"))
    assert overall["precision"] >= 0.95
    assert overall["recall"] >= 0.85
    assert sum(map(is_planted, found)) <= overall["planted"]
    assert cost["compared"] < len(lines) ** 2 / 20
