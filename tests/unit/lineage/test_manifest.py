"""The manifest's bytes, its counts, and the key that names a step's work."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from metier.lineage.manifest import MANIFEST, Counts, FileEntry, Manifest, step_key

WHOLE = Manifest(
    stage="filter",
    step="filter",
    revision=2,
    config={"b": 1, "a": "ü"},
    inputs={"dialogues": "0" * 32},
    counts=Counts(read=3, kept=2, rejected={"outdated": 1}),
    files=(FileEntry(path="kept.parquet", bytes=7, digest="1" * 32, rows=2),),
    content="2" * 32,
)


def test_what_is_written_is_read_back(tmp_path):
    WHOLE.write(tmp_path)
    assert Manifest.model_validate_json((tmp_path / MANIFEST).read_bytes()) == WHOLE


def test_the_bytes_do_not_depend_on_the_order_of_the_config(tmp_path):
    for name, config in (("one", {"a": "ü", "b": 1}), ("two", {"b": 1, "a": "ü"})):
        (tmp_path / name).mkdir()
        WHOLE.model_copy(update={"config": config}).write(tmp_path / name)
    assert (tmp_path / "one" / MANIFEST).read_bytes() == (tmp_path / "two" / MANIFEST).read_bytes()


def test_writing_leaves_nothing_else_behind(tmp_path):
    (tmp_path / (MANIFEST + ".tmp")).write_text("of a killed attempt")
    WHOLE.write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [MANIFEST]


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"host": "x"}, {"content": None}])
def test_another_version_an_unknown_and_a_missing_field_are_refused(change):
    said = json.loads(WHOLE.model_dump_json()) | change
    with pytest.raises(ValidationError):
        Manifest.model_validate(said)


def test_counts_add_up_or_not():
    assert WHOLE.counts.balanced
    assert Counts().balanced
    assert not Counts(read=3, kept=2).balanced
    assert not Counts(read=3, kept=3, rejected={"outdated": 1}).balanced


def test_a_key_is_the_same_on_every_machine_and_in_every_release():
    assert step_key("filter", 1, {"a": 1.5}, {"x": "y"}) == "b7cc5c57f339988820460cb276b49e86"


def test_a_key_does_not_depend_on_the_order_of_what_it_is_made_from():
    assert step_key("s", 1, {"a": 1, "b": 2}, {"x": "1", "y": "2"}) == step_key(
        "s", 1, {"b": 2, "a": 1}, {"y": "2", "x": "1"}
    )


def test_a_key_of_what_has_no_one_form_is_refused():
    with pytest.raises(TypeError, match=r"config\.threshold: nan"):
        step_key("s", 1, {"threshold": float("nan")}, {})
