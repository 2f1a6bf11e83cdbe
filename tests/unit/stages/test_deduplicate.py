"""Duplicates go, whatever the order of rows; what differs in a name or number stays."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from metier.errors import InputError
from metier.lineage.artifact import Artifact
from metier.records import ApiObject, Dialogue, Document, Message, Rejection
from metier.stages.deduplicate import DOCUMENTS, EXACT, NEAR, STAGE, Config, DocumentConfig, Duplicate
from tests.fixtures.stage_alone import dialogue, run_alone

LONG = "It reads every file of the folder one after the other and gives back all rows in the order in which they were found"
SCRATCH = tempfile.TemporaryDirectory()


def made(rows, **settings) -> Artifact:
    return run_alone(
        STAGE, Config(**settings), Path(tempfile.mkdtemp(dir=SCRATCH.name)), batch_rows=1000, dialogues=rows
    )


def removed(rows, **settings) -> dict[str, Duplicate]:
    return {d.duplicate: d for d in made(rows, **settings).records(Duplicate, "duplicates")}


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


def test_a_chain_of_small_changes_is_cut_where_nothing_alike_would_stay():
    words = [f"w{chr(97 + i)}" for i in range(20)]
    rows = [
        dialogue("What is said?", " ".join(words[i:] + ["so"] * i), effective=f"2025-01-0{9 - i}") for i in range(9)
    ]
    artifact = made(rows, threshold=0.7)
    found = {d.duplicate: d for d in artifact.records(Duplicate, "duplicates")}
    evidence = {r.record_id: r.evidence for r in artifact.records(Rejection, "rejected")}
    assert rows[0].id not in found
    assert found[rows[1].id].duplicate_of == rows[0].id
    assert len(found) < 8
    assert all(d.similarity >= 0.7 * 7 / 8 for d in found.values())
    between = {id_ for id_, d in found.items() if d.similarity < 0.7}
    assert between == {id_ for id_, said in evidence.items() if "rows between them" in said} != set()


SENTENCES = st.lists(st.sampled_from(["red", "green", "blue", "`x`", "7", "not"]), min_size=1, max_size=6).map(" ".join)


@effort(deadline=None, max_examples=60)
@given(st.lists(st.tuples(SENTENCES, SENTENCES), max_size=12), st.randoms())
def test_every_row_comes_out_once_and_the_order_does_not_matter(pairs, random):
    rows = [dialogue(q, a) for q, a in pairs]
    artifact = made(rows, threshold=0.5)
    kept = [d.id for d in artifact.records(Dialogue)]
    lost = [r.record_id for r in artifact.records(Rejection, "rejected")]
    assert sorted(kept + lost) == sorted(r.id for r in rows)
    assert len(set(kept)) == len(kept)
    assert {d.duplicate_of for d in artifact.records(Duplicate, "duplicates")} <= set(kept)
    assert made(random.sample(rows, len(rows)), threshold=0.5).fingerprint == artifact.fingerprint


def test_the_stage_gives_reasons_whatever_the_chunks(ray_cluster, tmp_path):
    rows = [dialogue(f"What does `f{i}` do?", LONG) for i in range(197)]
    rows += [
        dialogue("What does `f3` do?", LONG, task="copy"),
        dialogue("What does `f4` do?", LONG + " there"),
        rows[5],
    ]
    both = [run_alone(STAGE, Config(), tmp_path / str(n), batch_rows=n, dialogues=rows) for n in (1, 64)]
    assert both[0].fingerprint == both[1].fingerprint
    assert both[0].manifest.counts.rejected == {EXACT: 2, NEAR: 1}
    assert both[0].manifest.counts.kept == 197
    kept = {d.id for d in both[0].records(Dialogue)}
    duplicates = list(both[0].records(Duplicate, "duplicates"))
    assert len(duplicates) == 2
    assert {d.duplicate_of for d in duplicates} <= kept
    assert all(any(k in r.evidence for k in kept) for r in both[0].records(Rejection, "rejected"))
    assert len(both[0].table_files("kept")) > 1 == len(both[1].table_files("kept"))
    assert [d.id for d in both[0].records(Dialogue)] == [d.id for d in both[1].records(Dialogue)]


def test_of_documents_the_newest_then_the_most_complete_stays(tmp_path):
    text = " ".join(f"Rule {i} says what is done on day {i} of the month." for i in range(40))
    rows = [
        Document(uri="a", title="a", text=text),
        Document(uri="b", title="b", text=text + " Last.", effective="2024-01-01"),
        Document(uri="c", title="c", text=text + " Lately.", effective="2025-01-01"),
        Document(uri="d", title="d", text="Something else is said here, which no other document says in any way."),
    ]
    made = run_alone(DOCUMENTS, DocumentConfig(), tmp_path, documents=rows)
    assert {d.uri for d in made.records(Document)} == {"c", "d"}
    assert made.manifest.counts.rejected == {NEAR: 2}


def test_two_objects_of_one_wording_are_two(tmp_path):
    def about(name):
        api = ApiObject(name=name, kind="method", signature="", summary=LONG)
        return Document(uri=name, title="t", text=LONG, api=api)

    rows = [about("lib.A.read"), about("lib.B.read"), Document(uri="a", title="t", text=LONG)]
    assert run_alone(DOCUMENTS, DocumentConfig(), tmp_path, documents=rows).manifest.counts.kept == 3


def test_a_new_batch_is_compared_with_a_corpus_by_the_signatures_that_it_has(ray_cluster, tmp_path):
    old = [dialogue(f"What does `f{i}` do?", LONG) for i in range(4)]
    new = [dialogue("What does `f1` do?", LONG + " there"), dialogue("What does `f9` do?", LONG),
           dialogue("What does `f9` do?", LONG, task="copy")]  # fmt: skip
    config = Config(keep_signatures=True)
    corpus = run_alone(STAGE, config, tmp_path / "old", dialogues=[*old, old[0]])
    batch = run_alone(STAGE, config, tmp_path / "new", dialogues=new, **{"corpus/0": corpus})
    assert batch.manifest.counts.rejected == {EXACT: 1, NEAR: 1}
    lost = {r.record_id: r.evidence for r in batch.records(Rejection, "rejected")}
    assert old[1].id in lost[new[0].id]  # although the new one is fuller
    third = run_alone(
        STAGE, config, tmp_path / "third", dialogues=[*old, *new], **{"corpus/0": corpus, "corpus/1": batch}
    )
    assert third.manifest.counts.kept == 0
    with pytest.raises(InputError, match=r"other settings: .*threshold 0.8 -> 0.9"):
        run_alone(
            STAGE, Config(keep_signatures=True, threshold=0.9), tmp_path / "x", dialogues=new, **{"corpus/0": corpus}
        )
    (kept,) = corpus.path("signatures").glob("*.npy")
    np.save(kept, np.zeros_like(np.load(kept)))
    assert run_alone(STAGE, config, tmp_path / "z", dialogues=new, **{"corpus/0": corpus}).manifest.counts.rejected == {
        EXACT: 1
    }
    plain = run_alone(STAGE, Config(), tmp_path / "plain", dialogues=old)
    with pytest.raises(InputError, match="keep_signatures"):
        run_alone(STAGE, config, tmp_path / "y", dialogues=new, **{"corpus/0": plain})


def test_an_empty_table_stays_empty(tmp_path):
    assert made([]).manifest.counts.read == 0
