"""The command as a whole: whatever goes wrong is one line and an exit code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fixtures.command_line import metier, refused


@pytest.mark.parametrize("store", ["~nobody-at-all/store", "/dev/null", "{file}", "{file}/below"])
def test_a_store_that_can_be_no_folder_is_refused(tmp_path, store):
    (tmp_path / "file").write_text("")
    named = store.format(file=tmp_path / "file")
    assert named.split("/")[-1] in refused("trace", "answer-1", "--store", named)


def test_a_path_that_the_system_refuses_is_named(tmp_path):
    assert "name too long" in refused("plan", tmp_path / ("x" * 300)).lower()


def test_what_nobody_foresaw_is_one_line_with_its_story_in_a_file(tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("so\nbe it")

    monkeypatch.setattr("metier.lineage.trace.trace", broken)
    outcome = metier("trace", "answer-1", "--store", tmp_path)
    assert outcome.code == 1
    (line,) = outcome.err.splitlines()
    assert line.startswith("metier: ZeroDivisionError: so be it")
    story = Path(re.search(r"with (\S+\.log)\)", line)[1])
    assert "Traceback" in story.read_text()
    story.unlink()


def test_no_text_steers_the_terminal(tmp_path):
    (tmp_path / "caf\u00e9.yaml").write_text('name: x\nsources: [{folder: d}]\n"\\e[2J\\0\\u202Estag\u00e9s": 1\n')
    said = refused("plan", tmp_path / "caf\u00e9.yaml")
    assert "caf\u00e9.yaml: \\x1b[2J\\x00\\u202estag\u00e9s: unknown key" in said
    assert "a\u200cb.yaml: there" in refused("plan", tmp_path / "a\u200cb.yaml")  # a joiner, as Persian is written
    assert r"\x1b[2J.yaml: there is no such file" in refused("plan", tmp_path / "\x1b[2J.yaml")


@pytest.mark.parametrize("store", ["s3://AKIA:hunter2@bucket/x", "https://hunter2@host/x", "s3://A%3Ahunter2%40b"])
def test_a_key_in_the_store_s_address_is_not_repeated(tmp_path, store):
    said = refused("trace", "answer-1", "--store", store)
    assert "hunter2" not in said
    assert "a local or mounted folder is needed" in said


@pytest.mark.parametrize("user", ["me:hunter2", "hunter2", "me:hun/ter2"])
def test_a_key_in_any_address_is_not_repeated(tmp_path, user):
    (tmp_path / "e.yaml").write_text(f"name: x\nsources: [{{folder: d}}]\nmodels: {{'https://{user}@host/x': 1}}\n")
    said = refused("plan", tmp_path / "e.yaml")
    assert "https://***@host/x: unknown key" in said
    assert "ter2" not in said
