"""The receipt: one an attempt, beside the manifest and never in it."""

from __future__ import annotations

import os
import subprocess
import time

import metier
from metier.lineage.artifact import Writer
from metier.lineage.manifest import Counts
from metier.lineage.receipt import git_revision, versions, write_receipt


def commit(writer):
    return writer.commit(stage="s", step="s", revision=1, config={}, inputs={}, counts=Counts())


def test_a_receipt_says_when_how_long_and_on_what(tmp_path):
    write_receipt(tmp_path, started=time.time() - 2, resources={"cpus": 3})
    (said,) = commit(Writer(tmp_path)).receipts()
    assert 2 <= said["seconds"] < 60
    assert said["resources"] == {"cpus": 3}
    assert said["machine"]["cpus"] == os.cpu_count()
    assert time.strptime(said["started"], "%Y-%m-%dT%H:%M:%SZ")


def test_each_attempt_keeps_its_own_oldest_first(tmp_path):
    for started in (1_700_000_000.0, 1_600_000_000.0, 1_800_000_000.0):
        write_receipt(tmp_path, started=started, resources={})
    years = [r["started"][:4] for r in commit(Writer(tmp_path)).receipts()]
    assert years == ["2020", "2023", "2027"]


def test_a_receipt_changes_neither_manifest_nor_content(tmp_path):
    without, with_one = Writer(tmp_path / "a"), Writer(tmp_path / "b")
    write_receipt(with_one.folder, started=time.time(), resources={})
    assert commit(without).fingerprint == commit(with_one).fingerprint
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()


def test_versions_name_what_is_installed_and_leave_out_what_is_not():
    found = versions()
    assert found["metier"] == metier.__version__
    assert {"python", "ray", "torch", "pyarrow"} <= set(found)
    assert all(found.values())


def test_the_revision_is_that_of_the_working_folder_and_empty_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision() == ""
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    for words in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *words], check=True)
    assert len(git_revision()) == 40


def test_a_machine_without_git_has_no_revision(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision() == ""
