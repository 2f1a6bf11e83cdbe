"""Bad input gets one clear line that says what, where and how to mend it, and exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.fixtures.tiny_model import make_tiny_model


def refused(*arguments: object, cwd: Path | None = None) -> str:
    command = [sys.executable, "-m", "metier", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, check=False)
    assert run.returncode == 2, run.stdout + run.stderr
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
    return run.stderr


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.md").write_text("# A rule\n\nA rule is kept by every branch.\n")
    return tmp_path


def experiment(folder: Path, **changes: object) -> Path:
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump({"name": "x", "sources": [{"folder": "documents"}]} | changes))
    return file


def test_an_unknown_key_comes_with_the_nearest_known_one(folder):
    file = experiment(folder, stages={"deduplicate": {"treshold": 0.8}})
    assert "stages.deduplicate.treshold: unknown key; did you mean 'threshold'?" in refused("run", file)


def test_an_unknown_key_of_a_source(folder):
    assert "did you mean 'folder'?" in refused("run", experiment(folder, sources=[{"folde": "documents"}]))


def test_a_value_out_of_bounds(folder):
    file = experiment(folder, stages={"deduplicate": {"threshold": 7}})
    assert "stages.deduplicate.threshold: Input should be less than or equal to 1" in refused("run", file)


def test_yaml_faults_are_named_with_their_line(folder):
    file = folder / "bad.yaml"
    file.write_text("name: x\nsources: [\n")
    assert "bad.yaml, line" in refused("run", file)
    file.write_text("name: x\nname: y\n")
    assert "'name' is given twice" in refused("run", file)


def test_a_missing_file_and_a_missing_folder(folder):
    assert "no such file" in refused("run", folder / "none.yaml")
    assert "none" in refused("run", experiment(folder, sources=[{"folder": "none"}]))


def test_an_empty_corpus(folder):
    (folder / "empty").mkdir()
    file = experiment(folder, sources=[{"folder": "empty"}])
    assert "no document in it" in refused("run", file, "--store", folder / "store")


def test_a_model_folder_without_weights(folder):
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    line = refused("run", experiment(folder, models={"base": "./model"}))
    assert "safetensors" in line


def test_a_base_that_can_t_be_trained_is_refused_by_the_plan(folder):
    base = make_tiny_model(folder / "model", ["some text"], context=64)
    file = experiment(folder, models={"base": str(base)}, stages={"train": {"max_tokens": 65}})
    assert "train.max_tokens 65 is more than the 64 tokens that the base can read" in refused("plan", file)


def test_a_data_set_without_an_assistant_s_turn_has_its_row_named(folder):
    row = {"messages": [{"role": "user", "content": "What holds?"}], "task": "purpose", "source": "structured"}
    (folder / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    (folder / "questions.jsonl").write_text("")
    given = (folder / "pairs.jsonl", f"questions={folder / 'questions.jsonl'}", f"base={folder}")
    inputs = [part for one in given for part in ("--input", one)]
    line = refused("stage", "train", *inputs, "--output", folder / "out")
    assert "pairs.jsonl" in line
    assert "need a user and an assistant turn" in line


def test_no_disk_space(folder):
    file = experiment(folder, resources={"min_free_disk_gb": 1e9})
    assert "GB free" in refused("run", file, "--store", folder / "store")
    assert not (folder / "store").exists()


def test_a_package_that_is_not_installed(folder):
    file = experiment(folder, sources=[{"python_package": "no_such_package_here"}])
    assert "no_such_package_here" in refused("run", file)


def test_stage_faults(folder):
    rows = folder / "in.jsonl"
    rows.write_text("{}\n")
    out = folder / "out"
    assert "did you mean deduplicate" in refused("stage", "dedupliacte", "--input", rows, "--output", out)
    assert "--output FOLDER is needed" in refused("stage", "deduplicate", "--input", rows)
    assert "column messages is missing" in refused("stage", "deduplicate", "--input", rows, "--output", out)
    assert "is not KEY=VALUE" in refused("stage", "deduplicate", "--input", rows, "--output", out, "--set", "x")
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    assert "holds something else" in refused("stage", "deduplicate", "--input", rows, "--output", out)
    assert (out / "precious.txt").exists()


def test_init_overwrites_nothing(folder):
    (folder / "mine.yaml").write_text("mine")
    assert "is there already" in refused("init", "--documents", folder / "documents", "--file", folder / "mine.yaml")
    assert "no such folder" in refused("init", "--documents", folder / "none", "--file", folder / "new.yaml")


def test_a_report_that_is_not_there_yet(folder):
    assert "no report for it" in refused("report", experiment(folder), "--store", folder / "store")
