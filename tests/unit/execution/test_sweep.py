"""A search over plain numbers, on the real Tune: who is pruned, who fails, what stays of a trial, what a second run does."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from metier.errors import InputError, MachineError, StepError
from metier.execution import sweep as sweep_module
from metier.execution.sweep import Plan, sweep
from metier.execution.trial_place import Place
from metier.training.course import Point, StepReport
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


RATES = ({"rate": 0.25}, {"rate": 0.5})


@pytest.fixture
def without_tune(monkeypatch):
    """What is drawn and heard is given by hand: both trials one after the other, each heard to its end."""

    def fit(plan, folder, train_once, progress):
        (folder / "tune").mkdir(exist_ok=True)
        for settings in RATES:
            list(sweep_module._objectives(settings, Place.of(settings, folder), train_once))

    monkeypatch.setattr(sweep_module, "_fit", fit)


def failing(log: Path, errors: dict[float, Exception]):
    """Trains as `trainer` does, but that some rates fail."""
    train = trainer(log, 1.0)

    def train_once(settings, folder, report):
        train(settings, folder, report)
        if settings["rate"] in errors:
            raise errors[settings["rate"]]

    return train_once


def states(folder: Path, train_once) -> dict[float, str]:
    return {one.settings["rate"]: one.state for one in sweep(plan(2), folder, train_once, lambda *said: None)}


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (StepError("training diverged: the loss is nan"), "failed"),
        (InputError("no dialogue"), "failed"),
        (StepError("training failed (2 restarts did not help)"), "complete"),
        (MachineError("no memory"), "complete"),
        (OSError("no node"), "complete"),
    ],
)
def test_what_a_machine_let_down_is_run_anew_and_what_diverged_is_not(tmp_path, without_tune, error, again):
    folder, log = tmp_path / "trials", tmp_path / "log"
    assert states(folder, failing(log, {0.5: error})) == {0.25: "complete", 0.5: "failed"}
    (folder / "tune" / "state").touch()
    assert states(folder, failing(log, {})) == {0.25: "complete", 0.5: again}
    assert log.read_text().split().count("0.250") == 1
    assert (folder / "tune" / "state").exists() == (again == "failed")  # a state in which that trial is over


def test_after_all_failed_a_new_attempt_begins_from_nothing(tmp_path, without_tune):
    folder, log = tmp_path / "trials", tmp_path / "log"
    missing = InputError("the package deepspeed is not installed")
    with pytest.raises(StepError, match="all 2 trials failed, the first: the package deepspeed"):
        states(folder, failing(log, {0.25: missing, 0.5: missing}))
    assert not (folder / "tune").exists()
    assert states(folder, failing(log, {})) == {0.25: "complete", 0.5: "complete"}


def test_a_checkpoint_that_was_heard_of_before_a_kill_is_told_once_more_and_training_goes_on(tmp_path):
    def train_once(settings, folder, report):
        for step in (1, 2, 3):
            report(Point(step=step, epoch=step, train_loss=1.0, dev_score=step / 4, dev_error=0.0))

    place = Place(tmp_path / "trial-1")
    first = list(islice(sweep_module._objectives(RATES[0], place, train_once), 1))
    again = sweep_module._objectives(RATES[0], place, train_once)
    assert list(islice(again, 1)) == first
    next(again)
    assert [point.step for point in place.told()[0]] == [1, 2]


def test_a_trial_is_complete_before_its_last_checkpoint_is_heard_of(tmp_path):
    """So that ASHA, which may stop it at any checkpoint, prunes none that is trained to its end."""
    place, seen = Place(tmp_path / "trial-1"), []
    for _ in sweep_module._objectives(RATES[0], place, trainer(tmp_path / "log", 1.0)):
        seen.append(place.ended)
        place.end(RATES[0], "pruned") if len(seen) == 3 else None
    assert seen == [False, False, True]
    assert place.outcome().state == "complete"


def test_a_checkpoint_is_heard_of_when_training_goes_on_from_it():
    step, one, two = StepReport(2, 2, 1.0, 1.0, 1.0, 1, 1, 1, 1.0), Point(1, 0.5, 1.0), Point(2, 1.0, 1.0)
    assert list(sweep_module._followed(iter([one, step, step, two]))) == [(one, True), (two, False)]
    assert list(sweep_module._followed(iter([one, two, step]))) == [(one, True), (two, True)]
