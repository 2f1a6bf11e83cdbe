"""The watch against overfitting: which checkpoint is best, and when to stop. Pure. What is said of it stands in `verdict`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from metier.training.course import Point

LEAST_GAIN = 0.001  # of the best validation loss: less is no gain, or a flat course would never end


def best_point(points: Sequence[Point]) -> Point:
    """The checkpoint to keep: by the dev exam, then by validation loss, then the earliest.

    Few questions make a noisy score, so scores within one standard error of the highest are equal (the one-standard-error
    rule: Breiman et al. 1984, Classification and Regression Trees, section 3.4.3). Where nothing was held out there is
    nothing to choose by, and the last one is kept.
    """
    if not points:
        raise ValueError("no checkpoint was made")
    if all(p.dev_score is None and p.val_loss is None for p in points):
        return points[-1]
    return min(_equals(points), key=lambda p: (loss_of(p), -score_of(p), p.step))


def _equals(points: Sequence[Point]) -> list[Point]:
    """The points whose dev score is within one standard error of the highest."""
    top = max(points, key=score_of)
    return [p for p in points if score_of(top) - score_of(p) <= max(top.dev_error or 0.0, p.dev_error or 0.0)]


def contenders(points: Sequence[Point]) -> list[int]:
    """Steps of the checkpoints that are the best or may turn out to be, whatever comes: the others need no room.

    One is out when another has no worse score and loss, and no smaller error: where it is among the equals, so is that one.
    """
    if all(p.dev_score is None and p.val_loss is None for p in points):
        return [p.step for p in points[-1:]]
    return [p.step for p in points if not any(_beats(other, p) for other in points)]


def _beats(one: Point, other: Point) -> bool:
    mine, theirs = ((score_of(p), -loss_of(p), p.dev_error or 0.0) for p in (one, other))
    no_worse = all(a >= b for a, b in zip(mine, theirs, strict=True))
    return no_worse and (mine[:2] != theirs[:2] or one.step < other.step)


def score_of(point: Point) -> float:
    """The dev score, 0 where no exam was sat."""
    return point.dev_score or 0.0


def loss_of(point: Point) -> float:
    """The validation loss, infinite where there is none or it is no number."""
    return point.val_loss if point.val_loss is not None and not math.isnan(point.val_loss) else math.inf


def should_stop(points: Sequence[Point], patience: int) -> bool:
    """True when the last `patience` checkpoints improved neither the dev score nor the validation loss; 0: never.

    Both are asked: the loss may rise while answers still become better, and the other way round.
    """
    if patience == 0 or len(points) <= patience or all(p.dev_score is None and p.val_loss is None for p in points):
        return False
    earlier, recent = points[:-patience], points[-patience:]
    score = max(map(score_of, earlier))
    loss = min(map(loss_of, earlier)) * (1 - LEAST_GAIN)
    return all(score_of(p) <= score and loss_of(p) >= loss for p in recent)
