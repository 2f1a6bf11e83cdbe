"""The split: fair shares, twins together, and nobody moved by a newcomer."""

from __future__ import annotations

import collections
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from metier.lineage.artifact import Artifact, Writer
from metier.lineage.manifest import Counts
from metier.records import ApiObject, Document, Record
from metier.stages import supersede
from metier.stages.deduplicate import Sibling
from metier.stages.split import STAGE, Config, lowest, operator
from metier.stages.supersede import Superseded
from tests.fixtures.stage_alone import run_alone


def page(name: str, text: str = "") -> Document:
    return Document(uri=name, title=name, text=text or f"The page {name} has words of its own.")


def method(name: str, summary: str) -> Document:
    api = ApiObject(name=name, kind="method", signature="f()", summary=summary)
    return Document(uri=name, title=name, text=summary, api=api)


def split_of(document: Document, config: Config) -> str:
    (child,) = operator(config, {})([document])
    return child.split


def test_the_shares_are_about_those_asked_for():
    sides = collections.Counter(split_of(page(f"p{i}"), Config()) for i in range(2000))
    assert sides["train"] == pytest.approx(1200, abs=80)
    assert sides["dev"] == pytest.approx(300, abs=60)


def test_twins_fall_on_the_same_side():
    copies = {split_of(page(f"p{i}", "The same long\ntext stands here."), Config()) for i in range(40)}
    parallel = {split_of(method(f"a.C{i}.stats", "Return the timing of the run."), Config()) for i in range(40)}
    assert len(copies) == len(parallel) == 1


def test_short_summaries_do_not_make_twins():
    assert len({split_of(method(f"a.f{i}", "Deprecated."), Config()) for i in range(40)}) == 3


def test_another_seed_deals_anew():
    pages = [page(f"p{i}") for i in range(50)]
    assert [split_of(p, Config()) for p in pages] != [split_of(p, Config(seed=1)) for p in pages]


def test_each_document_keeps_its_content_and_knows_its_parent():
    document = page("p")
    (child,) = operator(Config(), {})([document])
    assert child.split in ("train", "dev", "final")
    assert child.text == document.text
    assert child.parent_ids == (document.id,)
    assert child.root_id == document.id


def test_fractions_must_leave_room_for_the_final_exam():
    with pytest.raises(ValidationError, match="final exam"):
        Config(train_fraction=0.9, dev_fraction=0.1)


@given(st.permutations([((0, "a"), (1, "b")), ((2, "c"), (1, "b")), ((1, "d"), (1, "e")), ((2, "c"), (2, "f"))]))
def test_pairs_connect_names_in_any_order(pairs):
    found = lowest(pairs)
    assert {name: found[name] for name in ((1, "b"), (2, "f"), (1, "e"))} == {
        (1, "b"): (0, "a"),
        (2, "f"): (0, "a"),
        (1, "e"): (1, "d"),
    }


def relation(folder: Path, name: str, kind: type[Record], rows: list[Record]) -> Artifact:
    """A table as the stage before writes it."""
    writer = Writer(folder / name)
    writer.table(name, kind, rows)
    return writer.commit(stage="given", step="given", revision=1, config={}, inputs={}, counts=Counts())


def sides(folder: Path, documents: list[Document], seed: int = 0, **relations: list[Record]) -> list[str]:
    """The side of each document; `relations`: rows of `clusters` and of `superseded`."""
    kinds = {"clusters": Sibling, "superseded": Superseded}
    given = {name: relation(folder, name, kinds[name], rows) for name, rows in relations.items()}
    made = run_alone(STAGE, Config(seed=seed), folder, documents=documents, **given)
    return [d.split for d in made.records(Document)]


def ended(older: Document, newer: Document) -> Superseded:
    return Superseded(root_id=older.root_id, uri="", by_id=newer.root_id, by_uri="", by_title="", day="2025-01-01",
                      similarity=1, same_title=True)  # fmt: skip


def test_versions_of_one_document_are_on_one_side(tmp_path):
    words = [f"word{n}" for n in range(100)]  # each version drops one and adds one: the first and the last share few
    rows = [
        Document(uri=f"v{n}", title=f"Title {n}", text=" ".join(words[n : n + 60]), effective=f"{1980 + n}-01-01")
        for n in range(40)
    ]
    dated = run_alone(supersede.STAGE, supersede.Config(), tmp_path / "dated", documents=rows)
    apart = run_alone(STAGE, Config(), tmp_path / "apart", documents=dated)
    together = run_alone(STAGE, Config(), tmp_path / "together", documents=dated, superseded=dated)
    assert [len({d.split for d in made.records(Document)}) for made in (apart, together)] == [3, 1]


def test_clusters_and_versions_that_share_a_document_are_one_family(tmp_path):
    pages = [page(f"p{i}").derive(Document, text=f"The page p{i} was anonymised.") for i in range(40)]
    chain = [ended(one, other) for one, other in pairwise(pages[:20])]
    pairs = zip(pages[:20], pages[20:], strict=True)
    siblings = [Sibling(sibling=d.id, cluster=one.id) for one, other in pairs for d in (one, other)]
    one, other, both = (
        sides(
            tmp_path / name,
            pages,
            **{key: rows for key, rows in (("clusters", siblings), ("superseded", chain)) if key in name},
        )
        for name in ("superseded", "clusters", "clusters superseded")
    )
    assert (len(set(one[:20])), len(set(one))) == (1, 3)
    assert other[:20] == other[20:]
    assert (len(set(other)), len(set(both))) == (3, 1)


def test_a_twin_in_wording_follows_its_family(tmp_path):
    twins = [method(f"a.C{i}.stats", "Return the timing of the run.") for i in range(2)]
    documents = [*twins, page("other")]
    siblings = [Sibling(sibling=d.id, cluster=documents[2].id) for d in documents[1:]]
    drawn = [sides(tmp_path / str(seed), documents, seed, clusters=siblings) for seed in range(12)]
    assert all(len(set(one)) == 1 for one in drawn)
    assert len({one[0] for one in drawn}) > 1
