"""The store: what is there, what is newest, and who may write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metier.errors import InputError
from metier.lineage.manifest import MANIFEST, Counts
from metier.lineage.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def put(store, step, key):
    with store.writing(step, key) as writer:
        return writer.commit(stage=step, step=step, revision=1, config={}, inputs={}, counts=Counts())


def test_an_artifact_lies_under_its_step_and_key(store, tmp_path):
    assert store.find("filter", "k1") is None
    made = put(store, "filter", "k1")
    assert made.folder == tmp_path / "store" / "filter" / "k1"
    assert store.find("filter", "k1").manifest == made.manifest
    assert store.find("filter", "k2") is None


def test_looking_makes_no_folder(store):
    store.find("filter", "k"), store.latest("filter"), store.interrupted("filter", "k")
    assert not store.root.exists()


def test_an_attempt_that_did_not_end_is_neither_there_nor_forgotten(store):
    with pytest.raises(KeyboardInterrupt), store.writing("filter", "k"):
        raise KeyboardInterrupt
    assert store.find("filter", "k") is None
    assert store.interrupted("filter", "k")
    put(store, "filter", "k")
    assert not store.interrupted("filter", "k")


def test_the_latest_is_the_one_that_was_finished_last_under_any_key(store):
    for age, key in enumerate(("new", "old", "older")):
        manifest = put(store, "filter", key).folder / MANIFEST
        os.utime(manifest, (1_000_000 - age, 1_000_000 - age))
    put(store, "split", "other")
    with store.writing("filter", "unfinished"):
        assert store.latest("filter").folder.name == "new"


def test_nothing_was_finished_yet(store):
    assert store.latest("filter") is None


def test_one_writer_a_step_and_key(store):
    with store.writing("filter", "k"):
        with pytest.raises(InputError, match="filter is being made by another run"), store.writing("filter", "k"):
            pass
        with store.writing("filter", "other"), store.writing("split", "k"):
            pass
    put(store, "filter", "k")


def test_a_failed_writer_locks_nobody_out(store):
    with pytest.raises(ValueError, match="broken"), store.writing("filter", "k"):
        raise ValueError("broken")
    put(store, "filter", "k")


def test_a_damaged_manifest_is_named_and_not_taken_for_a_finished_step(store):
    folder = put(store, "filter", "k").folder
    (folder / MANIFEST).write_text('{"stage": "filt')
    with pytest.raises(InputError, match=str(folder)):
        store.find("filter", "k")


@pytest.mark.parametrize("root", ["s3://bucket/a", Path("s3://bucket/a"), "gs://b", Path("hdfs://host/x")])
def test_an_object_store_is_refused_even_as_a_path(root):
    with pytest.raises(InputError, match="a local or mounted folder is needed"):
        Store(root)


def test_a_root_is_anchored_where_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Store("store").root == tmp_path / "store"
    assert Store("~/store").root == tmp_path / "home" / "store"
