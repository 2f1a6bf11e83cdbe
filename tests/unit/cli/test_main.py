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
