"""What searching compares, and which trial wins."""

from __future__ import annotations

import pytest

from metier.training.course import Point
from metier.training.trials import TIE, Outcome, objective, winner


def point(score: float | None = None, loss: float | None = None, step: int = 1, error: float = 0.0) -> Point:
    return Point(step=step, epoch=1, train_loss=1, val_loss=loss, dev_score=score, dev_error=error)


def outcome(*points: Point, state: str = "complete", **settings) -> Outcome:
    return Outcome(settings=settings, state=state, points=points)


def test_a_higher_score_counts_more_than_any_loss():
    assert objective([point(0.5001, 90.0)]) > objective([point(0.5, 0.0)])


def test_equal_scores_are_told_apart_by_their_loss():
    losses = [0.0, 0.001, 0.5, 2.0, 90.0, None]
    values = [objective([point(0.5, loss)]) for loss in losses]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)
    assert max(values) - min(values) <= TIE


def test_without_an_exam_the_loss_alone_decides():
    assert objective([point(None, 0.4)]) > objective([point(None, 0.5)])


def test_a_trial_counts_with_the_checkpoint_that_would_be_kept():
    rising = [point(0.6, 1.0), point(0.2, 2.0, step=2)]
    assert objective(rising) == objective(rising[:1])
    near = [point(0.6, 1.0, error=0.1), point(0.55, 0.5, step=2, error=0.1)]
    assert objective(near) == objective(near[1:])


def test_the_winner_is_chosen_as_a_checkpoint_is():
    best = outcome(point(0.60, 0.9, error=0.05), rank=8)
    near = outcome(point(0.57, 0.4, error=0.05), rank=16)
    worse = outcome(point(0.30, 0.1, error=0.05), rank=32)
    assert winner([best, near, worse]) is near
    assert winner([best, worse]) is best


def test_a_pruned_trial_wins_only_where_none_was_trained_to_its_end():
    pruned, ended = outcome(point(0.9), state="pruned"), outcome(point(0.4))
    failed = outcome(point(1.0), state="failed")
    assert winner([pruned, ended, failed]) is ended
    assert winner([pruned, failed]) is pruned
    with pytest.raises(ValueError, match="no trial"):
        winner([failed, outcome()])


def test_an_outcome_survives_its_file():
    one = outcome(point(0.5, 1.5), rank=8, rate=1e-4)
    assert Outcome.from_json(one.as_json()) == one
