"""`metier run`, `plan`, `status`, `report` on an experiment file. The whole road is in tests/e2e."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from metier.lineage.artifact import Artifact
from metier.records import Document
from tests.fixtures.command_line import metier, refused
from tests.fixtures.tiny_experiment import SUBJECTS, prose


def write_experiment(folder, **changes):
    documents = folder / "documents"
    documents.mkdir(exist_ok=True)
    for number, subject in enumerate(SUBJECTS[:6]):
        (documents / f"{subject}.md").write_text(prose(number, subject))
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump({"name": "x", "sources": [{"folder": "documents"}]} | changes))
    return file


@pytest.fixture
def file(tmp_path):
    return write_experiment(tmp_path)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def test_a_first_plan_runs_every_step_and_writes_nothing(file, store):
    rows = json.loads(metier("plan", file, "--store", store, "--json").out)
    assert {row["action"] for row in rows} == {"run"}
    assert rows[0] == {"step": "ingest", "action": "run", "reason": "never ran", "key": rows[0]["key"]}
    assert len(rows[0]["key"]) == 32
    assert rows[-1]["key"] == ""  # what its inputs will hold is not known yet
    assert not store.exists()


def test_the_plan_for_people_names_the_same_steps(file, store):
    shown = metier("plan", file, "--store", store).out
    for row in json.loads(metier("plan", file, "--store", store, "--json").out):
        assert row["step"] in shown


def test_the_store_may_come_from_the_environment(file, store, monkeypatch):
    monkeypatch.setenv("METIER_STORE", "s3://bucket")
    assert "object stores can't hold artifacts" in refused("plan", file)
    assert metier("plan", file, "--store", store).code == 0


def test_status_before_anything_ran(file, store):
    rows = json.loads(metier("status", file, "--store", store, "--json").out)
    assert {row["state"] for row in rows} == {"missing"}
    assert metier("status", file, "--store", store).out.count("·") == len(rows)


def test_a_report_is_missing_until_it_is_made(file, store):
    assert f"metier run {file}" in refused("report", file, "--store", store)


def test_an_unknown_step_comes_with_the_known_ones(file, store):
    assert "the steps are ingest, screen, anonymise, supersede" in refused(
        "run", file, "--store", store, "--until", "spilt"
    )


def test_a_small_disk_is_refused_before_anything_is_written(tmp_path, store):
    file = write_experiment(tmp_path, resources={"min_free_disk_gb": 10**9})
    assert "GB free and the run wants 1e+09" in refused("run", file, "--store", store / "deep")
    assert not store.exists()


@pytest.mark.parametrize("key", ["base", "teacher", "embedder", "names", "judge"])
def test_a_model_that_is_not_there_is_named_with_its_key(tmp_path, store, key):
    file = write_experiment(tmp_path, models={key: "./nowhere"})
    assert f"{file}: models.{key}: " in refused("plan", file, "--store", store)


BASE = "meta-llama/Meta-Llama-3-8B-Instruct"


def on_card(gigabytes: float, method: str, **resources):
    return {
        "models": {"base": BASE},
        "stages": {"train": {"method": {"method": method}, "batch_tokens": 8192}},
        "resources": {"train": {"gpus": 1, "gpu_memory_gb": gigabytes} | resources},
    }


def test_a_plan_foretells_what_training_needs_of_a_card(tmp_path, store):
    file = write_experiment(tmp_path, **on_card(24, "qlora"))
    told = next(r for r in json.loads(metier("plan", file, "--store", store, "--json").out) if "forecast" in r)
    assert (told["step"], told["forecast"]["method"], told["forecast"]["engine"]) == ("train", "qlora", "ddp")
    assert told["forecast"]["fit"]["predicted_bytes"] < told["forecast"]["card_bytes"] == 24e9
    assert "of 22.4 GiB, predicted" in metier("plan", file, "--store", store).out


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_model_that_does_not_fit_is_refused_before_anything_is_spent(tmp_path, store, command):
    file = write_experiment(tmp_path, **on_card(24, "full", workers=2))
    said = refused(command, file, "--store", store)
    assert "train.method full" in said
    assert "or fsdp2 with resources.train.offload" in said
    assert not store.exists()


def test_a_plan_needs_no_documents_yet_and_a_run_does(tmp_path, store):
    file = write_experiment(tmp_path, sources=[{"folder": "elsewhere"}])
    first = json.loads(metier("plan", file, "--store", store, "--json").out)[0]
    assert first["reason"].startswith("to be filled: folder")
    assert "there is no such folder" in refused("run", file, "--store", store)


def test_misuse_of_the_command_line_is_exit_code_2():
    for words in (["run"], ["plan", "--colour"], ["fly"], ["stage", "filter", "--output"]):
        assert metier(*words).code == 2


def test_a_part_of_the_road_is_run_shown_and_reused(ray_cluster, file, store):
    told = metier("run", file, "--store", store, "--until", "anonymise", "--json")
    assert told.code == 0, told.err
    events = [json.loads(line) for line in told.out.splitlines()]
    finished = {e["step"]: e for e in events if e["event"] == "finished"}
    assert list(finished) == ["ingest", "screen", "anonymise"]
    assert len(list(Artifact(Path(finished["anonymise"]["folder"])).records(Document))) == 6
    assert events[-1]["report"] == ""

    again = metier("run", file, "--store", store, "--until", "anonymise", "--explain").out
    assert "REUSE" in again
    assert "3 steps, 3 reused" in again

    shown = metier("status", file, "--store", store).out.splitlines()
    assert shown[0].split()[:4] == ["✓", "ingest", "6", "kept"]
    plan = {row["step"]: row for row in json.loads(metier("plan", file, "--store", store, "--json").out)}
    assert plan["anonymise"]["action"] == "reuse"
    assert plan["supersede"]["reason"] == "never ran"
