"""Wordings: many, chosen by a hash, the same in every run."""

from __future__ import annotations

import string

import pytest

from metier.evaluation.phrasing import PHRASES, phrased, rank

WORDS = {
    "name": "lib.run",
    "detail": "tries",
    "title": "Leave",
    "value": "Lift it.",
    "kind": "class",
    "module": "lib",
    "state": "in force",
}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("kind", PHRASES)
def test_all_wordings_of_a_kind_use_the_same_words_and_are_filled_in(kind):
    (used,) = {frozenset(fields(text)) for text in PHRASES[kind]}
    for seed in range(20):
        said = phrased(kind, seed, **{name: WORDS[name] for name in used})
        assert not set("{}") & set(said)
        assert all(WORDS[name] in said for name in used)


def test_a_wording_is_chosen_once_and_for_all():
    chosen = {phrased("purpose", 0, name="lib.run") for _ in range(5)}
    assert len(chosen) == 1


def test_other_seeds_and_other_words_take_other_wordings():
    assert len({phrased("purpose", seed, name="lib.run") for seed in range(40)}) == len(PHRASES["purpose"])
    taken = {phrased("purpose", 0, name=f"lib.run{i}").replace(str(i), "") for i in range(40)}
    assert len(taken) == len(PHRASES["purpose"])


def test_a_wording_of_a_json_question_names_its_keys():
    for kind in (k for k in PHRASES if k.startswith("json_")):
        assert all("JSON" in text and text.count('"') >= 4 for text in PHRASES[kind])


def test_a_rank_is_the_same_on_every_machine_and_tells_parts_apart():
    assert rank(0, "a", "b") == 8572832614814815866
    assert rank(0, "a", "b") != rank(0, "ab")
    assert rank(0, "a") != rank(1, "a")
