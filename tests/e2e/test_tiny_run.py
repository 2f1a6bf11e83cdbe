"""The whole lifecycle on a tiny model through the real command: run, reuse, change one value, one stage alone, trace."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests.fixtures.tiny_experiment import make_tiny_experiment


def metier(*arguments: object, code: int = 0) -> str:
    command = [sys.executable, "-m", "metier", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert run.returncode == code, f"{arguments}: {run.returncode}\n{run.stdout[-3000:]}\n{run.stderr[-5000:]}"
    return run.stdout if code == 0 else run.stderr


def events(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    file = make_tiny_experiment(folder)
    store = folder / "store"
    return file, store, events(metier("run", file, "--store", store, "--json"))


@pytest.mark.timeout(900)
def test_the_road_ends_with_a_report_and_a_release(finished):
    _, _, said = finished
    assert Path(said[-1]["report"]).exists()
    made = [e["step"] for e in said if e["event"] == "finished"]
    assert made[0] == "ingest"
    assert made[-1] == "smoke"


def test_rows_add_up_from_stage_to_stage(finished):
    _, _, said = finished
    counts = {e["step"]: e["counts"] for e in said if e["event"] == "finished"}
    chain = ("synthesise", "anonymise_dialogues", "deduplicate", "filter", "review", "decontaminate", "blend")
    for before, after in pairwise(chain):
        assert counts[after]["read"] == counts[before]["kept"] > 0
        assert counts[after]["read"] == counts[after]["kept"] + sum(counts[after]["rejected"].values())


def test_a_second_run_reuses_every_step_quickly(finished):
    file, store, _ = finished
    began = time.monotonic()
    said = events(metier("run", file, "--store", store, "--json"))
    assert time.monotonic() - began < 15
    assert all(e["reused"] for e in said if e["event"] == "finished")


def test_one_changed_value_is_named_and_runs_what_depends_on_it(finished, tmp_path):
    file, store, _ = finished
    tree = yaml.safe_load(file.read_text())
    tree["stages"]["gate"]["keep_ratio"] = 0.01
    changed = file.with_name("changed.yaml")
    changed.write_text(yaml.safe_dump(tree))
    plan = {row["step"]: row for row in json.loads(metier("plan", changed, "--store", store, "--json"))}
    assert plan["gate"]["reason"] == "gate.keep_ratio 0.0 -> 0.01"
    ran = {step for step, row in plan.items() if row["action"] != "reuse"}
    assert ran == {"gate", "report", "register", "smoke"}


def test_resources_do_not_rerun_anything(finished):
    file, store, _ = finished
    tree = yaml.safe_load(file.read_text()) | {"resources": {"default": {"batch_rows": 17}}}
    moved = file.with_name("moved.yaml")
    moved.write_text(yaml.safe_dump(tree))
    plan = json.loads(metier("plan", moved, "--store", store, "--json"))
    assert {row["action"] for row in plan} == {"reuse"}


def test_status_and_report_are_for_people_and_scripts(finished):
    file, store, _ = finished
    rows = json.loads(metier("status", file, "--store", store, "--json"))
    assert {row["state"] for row in rows} == {"finished"}
    assert Path(metier("report", file, "--store", store).strip()).exists()


def test_a_served_answer_can_be_traced(finished):
    _, store, _ = finished
    answers = [json.loads(line) for p in sorted((store / "answers").iterdir()) for line in p.read_text().splitlines()]
    traced = json.loads(metier("trace", answers[0]["id"], "--store", store, "--json"))
    assert traced["passages"]
    assert traced["documents"]
