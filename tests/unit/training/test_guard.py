from __future__ import annotations

import dataclasses

import pytest

from metier.training.course import Point
from metier.training.guard import best_point, should_stop, verdict


def points(*rows: tuple[float, float | None, float | None]) -> list[Point]:
    """Checkpoints at steps 10, 20, ... from (train_loss, val_loss, dev_score)."""
    return [
        Point(step=10 * i, epoch=i / 2, train_loss=train, val_loss=val, dev_score=dev)
        for i, (train, val, dev) in enumerate(rows, 1)
    ]


@pytest.mark.parametrize(
    ("history", "best"),
    [
        (points((2, 2.0, 0.3), (1, 1.5, 0.6), (0.5, 1.9, 0.5)), 20),  # the dev exam decides
        (points((2, 2.0, 0.6), (1, 1.5, 0.6), (0.5, 1.9, 0.6)), 20),  # a tie: validation loss
        (points((2, 1.5, 0.6), (1, 1.5, 0.6)), 10),  # still a tie: the earliest
        (points((2, 2.0, None), (1, 1.5, None)), 20),  # no dev exam
        (points((2, None, None), (1, None, None)), 20),  # nothing was held out: the last
        (points((2, 2.0, 0.0)), 10),
    ],
)
def test_the_best_checkpoint(history, best):
    assert best_point(history).step == best


def test_scores_within_one_standard_error_are_equal_and_validation_loss_decides():
    lucky = Point(step=10, epoch=0.5, train_loss=2, val_loss=2.0, dev_score=0.42, dev_error=0.12)
    later = Point(step=20, epoch=1, train_loss=1, val_loss=1.0, dev_score=0.31, dev_error=0.09)
    assert best_point([lucky, later]) is later
    assert "(dev exam 0.31, within its error of 0.42 at step 10)" in verdict([lucky, later])
    assert "improving" not in verdict([lucky, later])
    assert best_point([dataclasses.replace(lucky, dev_error=0.10), later]).step == 10


def test_no_checkpoint_is_no_history():
    with pytest.raises(ValueError, match="no checkpoint"):
        best_point([])


def test_training_stops_after_as_many_checkpoints_without_gain_as_patience_allows():
    falling = points((2, 2.0, 0.3), (1, 1.5, 0.6), (0.5, 1.6, 0.5), (0.4, 1.7, 0.6))
    assert should_stop(falling, patience=2)
    assert not should_stop(falling, patience=3)
    assert not should_stop(falling, patience=0)
    assert not should_stop(falling[:1], patience=1)


def test_a_better_loss_or_a_better_score_keeps_training_going():
    assert not should_stop(points((2, 2.0, 0.6), (1, 1.9, 0.5)), patience=1)
    assert not should_stop(points((2, 2.0, 0.6), (1, 2.1, 0.7)), patience=1)


def test_the_verdict_names_overfitting_by_its_numbers():
    text = verdict(points((2, 2.0, 0.3), (1, 1.5, 0.6), (0.25, 1.9, 0.5)))
    assert text.startswith("Overfitting: validation loss rises from 1.500 (step 20) to 1.900")
    assert "training loss falls to 0.250" in text
    assert "checkpoint 20 of 30 is kept (dev exam 0.60)" in text


def test_both_losses_rising_is_not_called_overfitting():
    assert verdict(points((1, 1.5, 0.6), (2, 2.5, 0.5))).startswith("Unstable: validation loss rises from 1.500")


def test_the_verdict_says_when_more_training_may_help():
    assert verdict(points((2, 2.0, 0.3), (1, 1.5, 0.6))).startswith("Still improving at the end")


def test_the_verdict_of_a_calm_run():
    assert verdict(points((2, 1.5, 0.6), (1, 1.5, 0.5))).startswith("No overfitting seen")


def test_the_verdict_does_not_claim_what_was_not_measured():
    text = verdict(points((2, None, 0.6), (1, None, 0.5)))
    assert text.startswith("Nothing was held out")
