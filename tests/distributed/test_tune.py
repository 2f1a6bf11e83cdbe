"""A real search on the tiny model: its driver is killed with SIGKILL while the third trial trains, and the same command goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from metier.lineage.artifact import Artifact
from metier.records import Trial
from metier.reporting.tuning import settings_of
from metier.stages import train
from metier.training.space import of_train, settled
from tests.fixtures.tuning import make_inputs

ROOT = Path(__file__).parents[2]
MARK = 0.0001  # a validation loss that no training comes to


def ended(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.glob("trial-*") if p.is_file()}


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.fixtures.tuning", str(folder / "in"), str(folder / "out")]
    return subprocess.Popen(command, cwd=ROOT)


def killed_in_the_third_trial(folder: Path) -> tuple[dict[str, str], Path]:
    """What had ended by then, and the folder of the trial that was training."""
    driver, trials = start(folder), folder / "out" / "work" / "trials"
    while driver.poll() is None:
        training = [state.parents[2] for state in trials.glob("trial-*/checkpoints/step-*/state.json")]
        if len(ended(trials)) == 2 and training:
            break
        time.sleep(0.02)
    workers = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    psutil.wait_procs(workers, timeout=60)
    return ended(trials), training[0]


def marked(trial: Path) -> None:
    """Writes into the newest checkpoint, and nowhere else, that it is better than any can be."""
    (trial / "points.jsonl").unlink()
    state = max(trial.glob("checkpoints/step-*/state.json"))
    tree = json.loads(state.read_text())
    tree["history"]["points"][-1]["val_loss"] = MARK
    state.write_text(json.dumps(tree))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """The outcomes at the kill, and the artifact of the second attempt."""
    folder = tmp_path_factory.mktemp("tune")
    make_inputs(folder / "in")
    before, training = killed_in_the_third_trial(folder)
    marked(training)
    assert start(folder).wait() == 0
    return before, Artifact(folder / "out")


def rows(made: Artifact) -> list[Trial]:
    return list(made.records(Trial, "trials"))


def test_finished_trials_are_not_run_again(resumed):
    before, made = resumed
    times = sorted(made.json("search.json")["seconds"].values())
    assert len(before) == 2
    assert {json.loads(text)["seconds"] for text in before.values()} <= set(times)
    assert sorted(row.state for row in rows(made)) == ["complete", "complete", "pruned"]


def test_the_trial_that_was_training_goes_on_from_its_checkpoint(resumed):
    _, made = resumed
    assert rows(made)[0].val_loss == MARK


def test_a_pruned_trial_took_fewer_checkpoints_and_left_none(resumed):
    before, made = resumed
    pruned = next(row for row in rows(made) if row.state == "pruned")
    assert 0 < pruned.checkpoints < rows(made)[0].checkpoints
    assert settings_of(pruned)["learning_rate"] < 1e-5
    assert "pruned" in {json.loads(text)["state"] for text in before.values()}
    assert not made.path("work").exists()


def test_training_takes_the_winner(resumed):
    _, made = resumed
    config = settled(train.Config(), made.location, of_train)
    assert config == train.Config(learning_rate=settings_of(rows(made)[0])["learning_rate"])
