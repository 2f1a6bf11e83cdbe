"""Sources: known by what they hold."""

from __future__ import annotations

import pytest

from metier.errors import InputError
from metier.lineage.source import NamedSource, PathSource


def test_a_file_is_its_bytes_wherever_it_lies(tmp_path):
    (tmp_path / "a.yaml").write_text("same")
    (tmp_path / "b.yaml").write_text("same")
    (tmp_path / "c.yaml").write_text("other")
    a, b, c = (PathSource(str(tmp_path / f"{name}.yaml")).fingerprint for name in "abc")
    assert a == b != c


def test_a_folder_is_its_names_and_bytes(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "one").write_text("x")
    before = PathSource(str(folder)).fingerprint
    moved = folder.rename(tmp_path / "moved")
    assert PathSource(str(moved)).fingerprint == before
    (moved / "one").rename(moved / "two")
    assert PathSource(str(moved)).fingerprint != before


def test_a_source_is_read_once(tmp_path):
    file = tmp_path / "verdicts.jsonl"
    file.write_text("before")
    source = PathSource(str(file))
    before = source.fingerprint
    file.write_text("after")  # while a run goes, which planned with the first
    assert source.fingerprint == before


def test_the_home_folder_may_be_written_short(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "exam.yaml").write_text("x")
    source = PathSource("~/exam.yaml")
    assert source.location == str(tmp_path / "exam.yaml")
    assert source.fingerprint == PathSource(source.location).fingerprint


def test_what_is_not_there_is_named_as_it_was_given():
    with pytest.raises(InputError, match="^none/at/all: there is no such file or folder$"):
        _ = PathSource("none/at/all").fingerprint


def test_a_name_and_a_version_are_a_source_too():
    assert NamedSource("owner/model", "v1").fingerprint == "owner/model@v1"
    assert NamedSource("owner/model", "v2").fingerprint != NamedSource("owner/model", "v1").fingerprint
