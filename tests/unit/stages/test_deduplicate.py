"""Duplicates go, whatever the order of rows; what differs in a name or number stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from metier.records import Dialogue, Message, Rejection
from metier.stages.deduplicate import (
    EXACT,
    NEAR,
    STAGE,
    Config,
    Duplicate,
    buckets_of,
    distinct_texts,
    duplicates_of,
    judged,
    signing,
    text_of,
)
from metier.text.shingles import shingles
from tests.fixtures.stage_alone import dialogue, run_alone

LONG = "It reads every file of the folder one after the other and gives back all rows in the order in which they were found"


def removed(rows, **settings) -> dict[str, Duplicate]:
    config = Config(**settings)
    signed = list(signing(config)(rows))
    buckets = buckets_of(signed, distinct_texts(signed))
    candidates = {row.id: shingles(text_of(row), config.shingle_words) for row in rows}
    return duplicates_of(signed, candidates, buckets, config)


def test_copies_in_other_case_and_layout_are_exact():
    a, b = dialogue("What does it do?", LONG), dialogue("what  does it\ndo?", LONG.upper())
    (one,) = removed([a, b]).values()
    assert one.exact
    assert {one.duplicate, one.duplicate_of} == {a.id, b.id}


def test_a_changed_word_in_a_long_answer_is_near():
    a, b = dialogue("What does it do?", LONG), dialogue("What does it do?", LONG + " there")
    (one,) = removed([a, b]).values()
    assert not one.exact
    assert 0.8 <= one.similarity < 1
    assert one.duplicate == a.id  # the fuller one is kept
    assert removed([a, b], threshold=0.99) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The default of `x` in `f` is 3. " + LONG, "The default of `y` in `f` is 3. " + LONG),
        ("The limit is 3 rows. " + LONG, "The limit is 4 rows. " + LONG),
        ("It is True. " + LONG, "It is False. " + LONG),
        ("It is done. " + LONG, "It is not done. " + LONG),
        ('See "A". ' + LONG, 'See "B". ' + LONG),
        ("It is -1. " + LONG, "It is 1. " + LONG),
    ],
)
def test_templated_pairs_about_different_things_both_stay(one, other):
    rows = [dialogue("What is said about it?", one), dialogue("What is said about it?", other)]
    assert removed(rows, threshold=0.5) == {}
    assert len(removed(rows, threshold=0.5, keep_distinct_identifiers=False)) == 1


def test_the_reviewed_then_the_newest_then_the_fuller_then_the_lowest_id_stays():
    rows = [
        dialogue("What does it do?", LONG, reviewed="accepted"),
        dialogue("What does it do?", LONG, effective="2025-02-01"),
        dialogue("What does it do?", LONG, effective="2025-01-01"),
        dialogue("What does it do?", LONG, superseded="2025-01-01"),
        dialogue("What does it do??", LONG, superseded="2024-01-01"),
        dialogue("What does it do?", LONG, superseded="2024-01-01"),
    ]
    for i in range(len(rows) - 1):
        assert {d.duplicate_of for d in removed(rows[i:][::-1]).values()} == {rows[i].id}
    twins = [dialogue("What does it do?", LONG, task=f"t{i}") for i in range(4)]
    assert {d.duplicate_of for d in removed(twins).values()} == {min(t.id for t in twins)}


def test_all_turns_count_and_the_system_message_does_not():
    def turns(system, first):
        said = (("system", system), ("user", first), ("assistant", LONG), ("user", "And then?"), ("assistant", LONG))
        return Dialogue(messages=tuple(Message(role=r, content=c) for r, c in said), task="t", source="production")

    a, b, c = turns("Be brief.", "What is `f`?"), turns("Be kind.", "What is `f`?"), turns("Be brief.", "What is `g`?")
    assert set(removed([a, b, c])) < {a.id, b.id}


def test_a_chain_of_small_changes_is_one_cluster_that_says_so():
    words = [f"w{chr(97 + i)}" for i in range(20)]
    rows = [
        dialogue("What is said?", " ".join(words[i:] + ["so"] * i), effective=f"2025-01-0{9 - i}") for i in range(9)
    ]
    found = removed(rows, threshold=0.7)
    assert set(found) == {row.id for row in rows[1:]}
    evidence = {o.record_id: o.evidence for o in judged(iter(rows), found, 0.7) if isinstance(o, Rejection)}
    assert "rows between them" not in evidence[rows[1].id]
    assert "rows between them" in evidence[rows[8].id]
    assert rows[0].id in evidence[rows[8].id]


SENTENCES = st.lists(st.sampled_from(["red", "green", "blue", "`x`", "7", "not"]), min_size=1, max_size=6).map(" ".join)


@effort(deadline=None, max_examples=60)
@given(st.lists(st.tuples(SENTENCES, SENTENCES), max_size=12), st.randoms())
def test_every_row_comes_out_once_and_the_order_does_not_matter(pairs, random):
    rows = [dialogue(q, a) for q, a in pairs]
    found = removed(rows, threshold=0.5)
    outcome = list(judged(iter(rows), found, 0.5))
    kept = [o.id for o in outcome if isinstance(o, Dialogue)]
    lost = [o.record_id for o in outcome if isinstance(o, Rejection)]
    assert sorted(kept + lost) == sorted(r.id for r in rows)
    assert len(set(kept)) == len(kept)
    assert {d.duplicate_of for d in found.values()} <= set(kept)
    assert removed(random.sample(rows, len(rows)), threshold=0.5) == found


def test_the_stage_gives_reasons_whatever_the_batches(ray_cluster, tmp_path):
    rows = [dialogue(f"What does `f{i}` do?", LONG) for i in range(20)]
    rows += [
        dialogue("What does `f3` do?", LONG, task="copy"),
        dialogue("What does `f4` do?", LONG + " there"),
        rows[5],
    ]
    made = [run_alone(STAGE, Config(), tmp_path / str(n), batch_rows=n, dialogues=rows) for n in (3, 64)]
    assert made[0].fingerprint == made[1].fingerprint
    assert made[0].manifest.counts.rejected == {EXACT: 2, NEAR: 1}
    assert made[0].manifest.counts.kept == 20
    kept = {d.id for d in made[0].records(Dialogue)}
    duplicates = list(made[0].records(Duplicate, "duplicates"))
    assert len(duplicates) == 2
    assert {d.duplicate_of for d in duplicates} <= kept
    assert all(any(k in r.evidence for k in kept) for r in made[0].records(Rejection, "rejected"))
