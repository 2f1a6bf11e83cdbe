"""The tune stage but for its training: what it takes, in which order it tells its trials, which rows trials see."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from metier.records import Setting
from metier.stages import tune
from metier.training.course import Point
from metier.training.trials import Outcome

RATE = {"learning_rate": {"low": 1e-4, "high": 1e-3}}


def config(**settings) -> tune.Config:
    return tune.Config.model_validate(settings)


def test_a_setting_that_its_stage_does_not_take_is_refused_with_the_file():
    with pytest.raises(ValidationError, match="did you mean 'learning_rate'"):
        config(search={"learning_rates": RATE["learning_rate"]})
    with pytest.raises(ValidationError, match=r"train has no setting 'method\.rank'"):
        config(search={"method.rank": {"choices": [8, 16]}}, train={"method": {"method": "full"}})


@pytest.mark.parametrize(
    ("search", "most"),
    [(RATE, 6), ({"epochs": {"low": 1, "high": 5}}, 10), ({"epochs": {"choices": [1, 4]}}, 8)],
)
def test_the_longest_trial_sets_the_pruning(search, most):
    assert config(search=search, train={"epochs": 3, "checkpoints_per_epoch": 2}).most_checkpoints() == most


def outcome(state: str, score: float | None, rate: float) -> Outcome:
    points = (
        [] if score is None else [Point(step=4, epoch=1, train_loss=1, val_loss=0.5, dev_score=score, dev_error=0.1)]
    )
    return Outcome({"learning_rate": rate}, state, points, 2.0, "diverged" if state == "failed" else "")


def test_the_winner_stands_first_and_failures_last():
    told = tune.ranked(
        [
            outcome("failed", None, 0.1),
            outcome("pruned", 0.9, 0.2),
            outcome("complete", 0.3, 0.3),
            outcome("complete", 0.8, 0.4),
        ]
    )
    assert [one.settings["learning_rate"] for one in told] == [0.4, 0.3, 0.2, 0.1]


def test_a_trial_is_a_row_with_the_checkpoint_that_it_would_keep():
    row = tune.record_of(outcome("complete", 0.8, 1e-3))
    assert row.settings == (Setting(name="learning_rate", value="0.001"),)
    assert (row.state, row.checkpoints, row.step, row.score, row.error, row.val_loss) == (
        "complete",
        1,
        4,
        0.8,
        0.1,
        0.5,
    )
    failed = tune.record_of(outcome("failed", None, 1e-3))
    assert (failed.checkpoints, failed.step, failed.score, failed.reason) == (0, None, None, "diverged")
