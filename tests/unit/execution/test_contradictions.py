"""Candidates, comparison and verdicts over chunks: the same as over one, and by meaning where an embedder is given."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from metier.execution.contradictions import OPEN, Claimed, Meaning, candidates, chosen, comparison, settled, taken_down
from metier.execution.tasks import Here
from metier.lineage.shards import from_table
from metier.text.claims import Claim, Contradiction, Open, claim_of
from metier.text.compact import unpacked
from tests.fixtures.stage_alone import dialogue

BANKS = ("Halden", "Velmar", "Quorin", "Tessik")


def claims() -> list[Claim]:
    """Of each bank two answers that contradict each other and one that agrees; with abstentions."""
    rows = [
        (f"How long does {bank} Bank keep {thing}?", f"{years} years.")
        for bank, thing in itertools.product(BANKS, ("invoices", "letters", "ledgers"))
        for years in (8, 10)
    ]
    rows += [(f"What is the retention period for invoices at {bank} Bank?", "It is ten years.") for bank in BANKS]
    made = [claim_of(dialogue(q, a), answers=True) for q, a in rows]
    return [*made, *(claim_of(dialogue(rows[0][0], "None.", task=f"t{i}"), answers=False) for i in range(3))]


def in_chunks(rows: list[Claim], each: int) -> tuple[np.ndarray, list[Claimed]]:
    firsts = np.arange(0, len(rows), each)
    parts = [Claimed(*taken_down(range(f, min(f + each, len(rows))), rows[f : f + each])) for f in firsts.tolist()]
    return firsts, parts


def verdicts(rows: list[Claim], each: int, most: int = 64) -> tuple[list[Contradiction], dict[str, str]]:
    firsts, parts = in_chunks(rows, each)
    found, _ = comparison(Here(), parts, candidates(Here(), firsts, parts, most))
    table, gone = settled(len(parts), *(part.about for part in parts), *found)
    return from_table(Contradiction, table), dict(
        zip(gone["id"].to_pylist(), gone["evidence"].to_pylist(), strict=True)
    )


@pytest.mark.parametrize("each", [1, 5, 7])
@pytest.mark.parametrize("most", [2, 64])
def test_chunks_and_order_change_nothing(each, most):
    whole = verdicts(claims(), 100, most)
    assert len(whole[0]) >= len(BANKS) * 3
    assert verdicts(claims(), each, most) == whole
    assert verdicts(claims()[::-1], each, most) == whole


def test_each_pair_is_compared_in_one_chunk_and_none_has_most_of_them():
    rows = [claim_of(dialogue("How long are invoices kept?", "Long.", task=f"t{i}"), answers=True) for i in range(60)]
    firsts, parts = in_chunks(rows, 10)
    pairs = [np.unique(np.concatenate(its.by_words)) for its in candidates(Here(), firsts, parts, 100)]
    together = np.concatenate(pairs)
    assert len(together) == len(np.unique(together)) == 60 * 59 / 2
    assert max(map(len, pairs)) < 1.3 * min(map(len, pairs))


def test_questions_without_a_word_in_common_meet_by_their_meaning():
    asked = ("How tall is the tower?", "What height does the spire reach?", "Who paints the fence?")
    rows = [
        claim_of(dialogue(q, a), answers=True) for q, a in zip(asked, ("Ten metres.", "Eight.", "Tom."), strict=True)
    ]
    firsts, parts = in_chunks(rows, 2)
    meaning = Meaning("all-minilm-l6-v2", 8, 0.5)
    alone, meant = (candidates(Here(), firsts, parts, 64, given) for given in (None, meaning))
    assert sum(len(pairs) for its in alone for pairs in (*its.by_words, *its.by_meaning)) == 0
    assert {pairs.tobytes() for its in meant for pairs in its.by_meaning if len(pairs)} == {
        np.array([1], np.uint64).tobytes()
    }  # rows 0 and 1
    _, (opened, _) = comparison(Here(), parts, meant, most_open=5)
    ((closeness, text),) = zip(opened["closeness"].to_pylist(), opened["open"].to_pylist(), strict=True)
    assert closeness == 1  # no word, and asked alike
    assert set(unpacked(Open, text).questions) == set(asked[:2])


def test_the_closest_open_pairs_are_chosen_each_once():
    def table(*pairs: tuple[str, float]) -> pa.Table:
        return pa.Table.from_pylist(
            [{"first": p, "second": "z", "closeness": c, "open": p} for p, c in pairs], schema=OPEN
        )

    given = table(("a", 0.3), ("b", 0.9), ("d", 0.3)), table(), table(("b", 0.9), ("c", 0.5))
    assert [part["first"].to_pylist() for part in chosen(3, 2, *given)] == [["b", "a"], ["c"]]
    assert [part.num_rows for part in chosen(3, 2, table())] == [0, 0]
