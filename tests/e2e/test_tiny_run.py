"""The whole lifecycle on a tiny model through the real command: run, reuse, change one value, trace, kill and go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from metier.lineage.store import Store
from tests.fixtures.tiny_experiment import METIER, make_tiny_experiment, metier_process, run_tiny_experiment

STEPS_COMPARED = (
    "ingest",
    "synthesise",
    "deduplicate",
    "filter",
    "blend",
    "train",
    "merge",
    "quantise-w8a8",
    "exam-tuned",
)


def events(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """The whole lifecycle, run once; whoever looks at it leaves it as it is."""
    return run_tiny_experiment(tmp_path_factory.mktemp("tiny"))


@pytest.mark.timeout(900)
def test_the_road_ends_with_a_report_and_a_release(tiny_run):
    said = tiny_run.events
    assert Path(said[-1]["report"]).exists()
    made = [e["step"] for e in said if e["event"] == "finished"]
    assert made[0] == "ingest"
    assert made[-1] == "smoke"


def test_rows_add_up_from_stage_to_stage(tiny_run):
    said = tiny_run.events
    counts = {e["step"]: e["counts"] for e in said if e["event"] == "finished"}
    chain = ("synthesise", "anonymise_dialogues", "deduplicate", "filter", "review", "decontaminate", "blend")
    for before, after in pairwise(chain):
        assert counts[after]["read"] == counts[before]["kept"] > 0
        assert counts[after]["read"] == counts[after]["kept"] + sum(counts[after]["rejected"].values())


def test_a_second_run_reuses_every_step(tiny_run):
    file, store = tiny_run.file, tiny_run.store
    said = events(metier_process("run", file, "--store", store, "--json"))
    assert all(e["reused"] for e in said if e["event"] == "finished")


def test_one_changed_value_is_named_and_runs_what_depends_on_it(tiny_run):
    file, store = tiny_run.file, tiny_run.store
    tree = yaml.safe_load(file.read_text())
    tree["stages"]["gate"]["keep_ratio"] = 0.01
    changed = file.with_name("changed.yaml")
    changed.write_text(yaml.safe_dump(tree))
    plan = {row["step"]: row for row in json.loads(metier_process("plan", changed, "--store", store, "--json"))}
    assert plan["gate"]["reason"] == "gate.keep_ratio 0.0 -> 0.01"
    ran = {step for step, row in plan.items() if row["action"] != "reuse"}
    assert ran == {"gate", "report", "register", "smoke"}


def test_resources_do_not_rerun_anything(tiny_run):
    file, store = tiny_run.file, tiny_run.store
    tree = yaml.safe_load(file.read_text()) | {"resources": {"default": {"batch_rows": 17}}}
    moved = file.with_name("moved.yaml")
    moved.write_text(yaml.safe_dump(tree))
    plan = json.loads(metier_process("plan", moved, "--store", store, "--json"))
    assert {row["action"] for row in plan} == {"reuse"}


def test_status_and_report_are_for_people_and_scripts(tiny_run):
    file, store = tiny_run.file, tiny_run.store
    rows = json.loads(metier_process("status", file, "--store", store, "--json"))
    assert {row["state"] for row in rows} == {"finished"}
    assert Path(metier_process("report", file, "--store", store).strip()).exists()


def test_a_served_answer_can_be_traced(tiny_run):
    store = tiny_run.store
    answers = [json.loads(line) for p in sorted((store / "answers").iterdir()) for line in p.read_text().splitlines()]
    traced = json.loads(metier_process("trace", answers[0]["id"], "--store", store, "--json"))
    assert traced["passages"]
    assert traced["documents"]


def arguments(file: Path, store: Path) -> list[str]:
    return ["run", str(file), "--store", str(store), "--json", "--until", "gate"]


def run_and_kill(file: Path, store: Path, step: str, event: str) -> None:
    """Starts a run and kills the process the moment that `step` reports `event`."""
    with subprocess.Popen(
        [*METIER, *arguments(file, store)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if said.get("step") == step and said["event"] == event:
                os.kill(process.pid, signal.SIGKILL)
                break
            assert said.get("step") != "gate", f"the run went past {step} without a {event} event"
    assert process.returncode == -signal.SIGKILL


def content(store: Path) -> dict[str, str]:
    found = {}
    for step in STEPS_COMPARED:
        artifact = Store(store).latest(step)
        assert artifact is not None, step
        found[step] = artifact.fingerprint
    return found


@pytest.mark.timeout(900)
def test_a_run_killed_three_times_ends_with_the_same_artifacts(tiny_run, tmp_path):
    file = make_tiny_experiment(tmp_path)
    broken = tmp_path / "broken"
    run_and_kill(file, broken, "synthesise", "started")
    run_and_kill(file, broken, "train", "progress")
    run_and_kill(file, broken, "quantise-w8a8", "started")
    assert Store(broken).latest("quantise-w8a8") is None
    metier_process(*arguments(file, broken))
    assert content(broken) == content(tiny_run.store)
