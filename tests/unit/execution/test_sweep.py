"""A search over plain numbers, on the real Tune: who is pruned, who fails, what stays of a trial, what a second run does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metier.errors import StepError
from metier.execution.sweep import Plan, sweep
from metier.training.course import Point
from metier.training.space import Dimension


def plan(trials: int) -> Plan:
    """Trial after trial; seed 0 draws 0.549, 0.715, 0.603, 0.545."""
    space = [Dimension("rate", 0, 1)]
    return Plan(space, trials, max_parallel=1, grace=1, most=3, reduction=2, seed=0)


def trainer(log: Path, fails_above: float):
    """Trains to a score that is the rate, over three checkpoints."""

    def train_once(settings, folder, report):
        with log.open("a") as file:
            file.write(f"{settings['rate']:.3f}\n")
        if settings["rate"] > fails_above:
            raise StepError("training diverged:\nlower the rate")
        (folder / "checkpoints").mkdir()
        for step in (1, 2, 3):
            (folder / "checkpoints" / str(step)).write_text("weights")
            score = settings["rate"] * step / 3
            report(Point(step=step, epoch=step, train_loss=1.0, dev_score=score, dev_error=0.0))

    return train_once


@pytest.fixture(scope="module")
def found(tmp_path_factory, ray_cluster):
    folder, told = tmp_path_factory.mktemp("sweep"), []
    outcomes = sweep(plan(4), folder / "trials", trainer(folder / "log", 0.7), lambda *said: told.append(said))
    return folder, {round(one.settings["rate"], 3): one for one in outcomes}, told


def test_the_worse_is_pruned_and_a_failure_ends_no_search(found):
    _, outcomes, _ = found
    assert {rate: one.state for rate, one in outcomes.items()} == {
        0.549: "complete",
        0.715: "failed",
        0.603: "complete",
        0.545: "pruned",
    }
    assert outcomes[0.715].reason == "training diverged: lower the rate"
    assert [p.step for p in outcomes[0.603].points] == [1, 2, 3]
    assert len(outcomes[0.545].points) < 3


def test_of_a_trial_that_ended_its_outcome_alone_is_left_and_nobody_can_write_there(found):
    folder, outcomes, _ = found
    left = sorted((folder / "trials").glob("trial-*"))
    assert len(left) == len(outcomes)
    assert not [p for p in (folder / "trials").rglob("checkpoints") if p.is_dir()]
    for place in left:
        assert json.loads(place.read_text())["state"]
        with pytest.raises(OSError, match="Not a directory|File exists"):
            (place / "checkpoints").mkdir(parents=True)


def test_progress_tells_how_many_trials_ended_and_the_best_score(found):
    _, _, told = found
    assert told[-1] == (4, 4, "trials, 0 running, best 0.60")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


def test_a_search_that_is_over_trains_nothing_again(found):
    folder, outcomes, _ = found
    again = sweep(plan(4), folder / "trials", trainer(folder / "log", 0.7), lambda *said: None)
    assert {round(one.settings["rate"], 3): one for one in again} == outcomes
    assert sorted((folder / "log").read_text().split()) == ["0.545", "0.549", "0.603", "0.715"]


def test_a_search_in_which_all_fail_says_why(tmp_path, ray_cluster):
    with pytest.raises(StepError, match=r"^tuning: all 1 trials failed, the first: training diverged: lower the rate$"):
        sweep(plan(1), tmp_path / "trials", trainer(tmp_path / "log", 0.1), lambda *said: None)
