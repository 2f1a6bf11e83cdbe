"""Artifacts: what counts as there, what is listed, and which digest they carry."""

from __future__ import annotations

import json

import pytest

from metier.errors import InputError, StepError
from metier.lineage.artifact import Writer
from metier.lineage.manifest import Counts, step_key
from metier.lineage.shards import to_table, write_shard
from metier.lineage.store import Store
from metier.records import Document


def commit(writer):
    return writer.commit(stage="s", step="s", revision=1, config={}, inputs={}, counts=Counts())


def documents(*names):
    return [Document(uri=n, title=n, text=n) for n in names]


def test_a_folder_without_a_manifest_does_not_exist(tmp_path):
    store = Store(tmp_path)
    with store.writing("s", "k") as writer:
        writer.table("kept", Document, documents("a"))
        assert store.find("s", "k") is None
        assert store.interrupted("s", "k")
        commit(writer)
    assert store.find("s", "k") is not None
    assert not store.interrupted("s", "k")


def test_the_content_digest_does_not_see_the_order_of_rows(tmp_path):
    digests = []
    for number, names in enumerate(("ab", "ba", "aab")):
        writer = Writer(tmp_path / str(number))
        writer.table("kept", Document, documents(*names))
        digests.append(commit(writer).fingerprint)
    assert digests[0] == digests[1] != digests[2]


def test_readers_open_only_what_is_listed(tmp_path):
    writer = Writer(tmp_path / "a")
    writer.table("kept", Document, documents("a"))
    artifact = commit(writer)
    (tmp_path / "a" / "kept.parquet.orphan").write_text("x")
    assert [p.name for p in artifact.table_files()] == ["kept.parquet"]


def test_what_a_worker_left_of_another_attempt_is_no_part_of_a_table(tmp_path):
    writer = Writer(tmp_path / "a")
    for number in range(2):
        writer.add(write_shard(writer.folder, "kept", number, Document, to_table(Document, documents(str(number)))))
    write_shard(writer.folder, "kept", 7, Document, to_table(Document, documents("stale")))
    assert [d.uri for d in commit(writer).records(Document)] == ["0", "1"]


def test_a_shard_that_is_on_another_machine_is_missed(tmp_path):
    writer = Writer(tmp_path / "a")
    writer.add(write_shard(tmp_path / "elsewhere", "kept", None, Document, to_table(Document, documents("a"))))
    with pytest.raises(StepError, match="all nodes share"):
        commit(writer)


def test_scratch_survives_a_kill_and_is_gone_when_done(tmp_path):
    (Writer(tmp_path / "a").work / "checkpoint").write_text("7")
    again = Writer(tmp_path / "a")
    assert (again.work / "checkpoint").read_text() == "7"
    commit(again)
    assert not (tmp_path / "a" / "work").exists()


def test_a_manifest_holds_no_time_host_or_path(tmp_path):
    texts = []
    for name in ("a", "b"):
        writer = Writer(tmp_path / name)
        writer.table("kept", Document, documents("x"))
        writer.json("numbers.json", {"n": 1})
        commit(writer)
        texts.append((tmp_path / name / "manifest.json").read_text())
    assert texts[0] == texts[1]
    assert str(tmp_path) not in texts[0]
    assert [f["path"] for f in json.loads(texts[0])["files"]] == ["kept.parquet", "numbers.json"]


def test_declared_content_stands_for_bytes_that_differ(tmp_path):
    digests = []
    for name in ("a", "b"):
        writer = Writer(tmp_path / name)
        writer.path("index/data").write_text(name)
        writer.content("index", "same")
        digests.append(commit(writer).fingerprint)
    assert digests[0] == digests[1]


def test_any_part_of_a_step_changes_its_key():
    keys = {
        step_key("s", 1, {"a": 1}, {"x": "1"}),
        step_key("t", 1, {"a": 1}, {"x": "1"}),
        step_key("s", 2, {"a": 1}, {"x": "1"}),
        step_key("s", 1, {"a": 2}, {"x": "1"}),
        step_key("s", 1, {"a": 1}, {"x": "2"}),
    }
    assert len(keys) == 5


def test_an_object_store_is_refused_in_words():
    with pytest.raises(InputError, match="s3://bucket"):
        Store("s3://bucket/path")
