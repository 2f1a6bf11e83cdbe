"""SIGKILL in synthesis, in training and in quantisation: the next run goes on, and ends with the same artifacts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metier.lineage.store import Store
from tests.fixtures.tiny_experiment import make_tiny_experiment

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


def command(file: Path, store: Path) -> list[str]:
    return [sys.executable, "-m", "metier", "run", str(file), "--store", str(store), "--json", "--until", "gate"]


def run_to_the_end(file: Path, store: Path) -> None:
    run = subprocess.run(command(file, store), capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]


def run_and_kill(file: Path, store: Path, step: str, event: str) -> None:
    """Starts a run and kills the process the moment that `step` reports `event`."""
    with subprocess.Popen(
        command(file, store), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
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
def test_a_run_killed_three_times_ends_with_the_same_artifacts(tmp_path):
    file = make_tiny_experiment(tmp_path)
    run_to_the_end(file, tmp_path / "whole")
    broken = tmp_path / "broken"
    run_and_kill(file, broken, "synthesise", "started")
    run_and_kill(file, broken, "train", "progress")
    run_and_kill(file, broken, "quantise-w8a8", "started")
    assert Store(broken).latest("quantise-w8a8") is None
    run_to_the_end(file, broken)
    assert content(broken) == content(tmp_path / "whole")
