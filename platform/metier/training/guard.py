"""The watch against overfitting: which checkpoint is best, when to stop, and what to say of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from metier.training.course import Point

LOSS_RISE = 1.02  # validation loss this much over its best is a rise, not noise


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
    return min(_equals(points), key=lambda p: (_loss(p), -_score(p), p.step))


def _equals(points: Sequence[Point]) -> list[Point]:
    """The points whose dev score is within one standard error of the highest."""
    top = max(points, key=_score)
    return [p for p in points if _score(top) - _score(p) <= max(top.dev_error or 0.0, p.dev_error or 0.0)]


def _score(point: Point) -> float:
    return point.dev_score or 0.0


def _loss(point: Point) -> float:
    return point.val_loss if point.val_loss is not None else math.inf


def should_stop(points: Sequence[Point], patience: int) -> bool:
    """True when the last `patience` checkpoints improved neither the dev score nor the validation loss; 0: never."""
    if patience == 0 or len(points) <= patience:
        return False
    earlier, recent = points[:-patience], points[-patience:]
    score = max(map(_score, earlier))
    loss = min(_loss(p) for p in earlier)
    return all(_score(p) <= score and _loss(p) >= loss for p in recent)


def verdict(points: Sequence[Point]) -> str:
    """What happened, in words."""
    best, last = best_point(points), points[-1]
    kept = f"checkpoint {best.step} of {last.step} is kept"
    if best.dev_score is not None:
        top = max(points, key=_score)
        beside = f", within its error of {_score(top):.2f} at step {top.step}" if _score(best) < _score(top) else ""
        kept += f" (dev exam {best.dev_score:.2f}{beside})"
    lowest = min(points, key=_loss)
    if lowest.val_loss is None or last.val_loss is None:
        return f"Nothing was held out for a validation loss, so overfitting would not be seen; {kept}."
    if last.val_loss > lowest.val_loss * LOSS_RISE:
        rise = f"validation loss rises from {lowest.val_loss:.3f} (step {lowest.step}) to {last.val_loss:.3f}"
        if last.train_loss >= lowest.train_loss:
            return f"Unstable: {rise} and training loss does not fall; {kept}. A lower learning rate would help."
        return (
            f"Overfitting: {rise} while training loss falls to {last.train_loss:.3f}; {kept}. "
            "Fewer epochs or more diverse data would help."
        )
    if best is last and len(points) > 1 and _score(best) >= _score(points[-2]):
        return f"Still improving at the end; {kept}. More epochs or more data may help."
    return f"No overfitting seen: validation loss does not rise; {kept}."
