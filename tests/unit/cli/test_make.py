"""`metier init` and `metier doctor`."""

from __future__ import annotations

import json
import sys

import pytest

from metier.experiment import load
from tests.fixtures.command_line import metier, refused


@pytest.mark.parametrize(
    ("folder", "name"),
    [("handbook", "handbook"), ("My Docs (2026)", "my-docs--2026"), ("Bücher", "b-cher"), ("文書", "specialist")],
)
def test_the_written_file_is_an_experiment_whatever_the_folder_is_called(tmp_path, folder, name):
    documents, file = tmp_path / "data" / folder, tmp_path / "experiment.yaml"
    documents.mkdir(parents=True)
    assert metier("init", "--documents", documents, "--file", file).code == 0
    experiment = load(file)
    assert experiment.name == name
    assert experiment.sources[0].folder == str(documents)


def test_the_written_file_names_its_folder_from_its_own_place(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "plans").mkdir()
    metier("init", "--documents", tmp_path / "docs", "--file", tmp_path / "plans" / "x.yaml")
    assert 'folder: "../docs"' in (tmp_path / "plans" / "x.yaml").read_text()


def test_init_says_what_to_do_next(tmp_path):
    file = tmp_path / "x.yaml"
    assert f"metier run {file}" in metier("init", "--documents", tmp_path, "--file", file).out


def test_init_is_refused_where_it_can_not_write(tmp_path):
    assert "no folder" in refused("init", "--documents", tmp_path, "--file", tmp_path / "none" / "x.yaml")


@pytest.fixture(scope="module")
def examined():
    outcome = metier("doctor", "--json")
    return outcome, {row["what"]: row for row in json.loads(outcome.out)}


def test_doctor_says_what_is_there(examined):
    _, rows = examined
    assert rows["Python"] == {"what": "Python", "ok": True, "found": sys.version.split()[0], "needed": True}
    for package in ("ray", "torch", "transformers", "lancedb", "mlflow"):
        assert rows[package]["ok"]
        assert rows[package]["found"][0].isdigit()
    assert not rows["GPU"]["needed"]


def test_doctor_refuses_exactly_where_something_needed_is_missing(examined):
    outcome, rows = examined
    missing = [row for row in rows.values() if row["needed"] and not row["ok"]]
    assert outcome.code == (2 if missing else 0)
