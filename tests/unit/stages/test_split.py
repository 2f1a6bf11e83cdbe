"""The split: fair shares, twins together, and nobody moved by a newcomer."""

from __future__ import annotations

import collections

import pytest
from pydantic import ValidationError

from metier.records import ApiObject, Document
from metier.stages.split import Config, operator, split_of


def page(name: str, text: str = "") -> Document:
    return Document(uri=name, title=name, text=text or f"The page {name} has words of its own.")


def method(name: str, summary: str) -> Document:
    api = ApiObject(name=name, kind="method", signature="f()", summary=summary)
    return Document(uri=name, title=name, text=summary, api=api)


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


def test_a_cluster_of_near_duplicates_is_on_one_side():
    pages = [page(f"p{i}") for i in range(40)]
    apart = {d.split for d in operator(Config(), {})(pages)}
    together = {d.split for d in operator(Config(), {p.id: pages[0].id for p in pages})(pages)}
    assert (len(apart), len(together)) == (3, 1)
