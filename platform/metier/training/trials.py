"""Trials of a search: what one came to, by which number searching compares them, and which of them wins. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from metier.training.course import Point
from metier.training.guard import best_point
from metier.training.space import Value

SCORE_DIGITS = 4  # of a dev score: more than 10,000 questions can tell apart
TIE = 10.0**-SCORE_DIGITS / 10  # what the validation loss weighs: less than the smallest difference of two scores

State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What a trial came to: its settings, its checkpoints, and why it failed where it did.

    `lasting`: it would fail the same once more, for its settings or its input are at fault, not a machine.
    """

    settings: Mapping[str, Value]
    state: State
    points: Sequence[Point] = ()
    seconds: float = 0.0
    reason: str = ""
    lasting: bool = True

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> Outcome:
        """The reverse."""
        return cls(**tree | {"points": tuple(Point(**p) for p in tree["points"])})

    @property
    def best(self) -> Point | None:
        """The checkpoint that training would keep."""
        return best_point(self.points) if self.points else None


def objective(points: Sequence[Point]) -> float:
    """What searching maximises: the dev score of the checkpoint that would be kept, equal scores told apart by their loss.

    One number in (0, 1 + TIE] that orders trials first by score and then by validation loss, exactly: the loss moves it by less
    than two different scores lie apart. A sampler and a scheduler that only rank (TPE, ASHA) need no more. Where no exam
    was sat it follows the loss alone.
    """
    best = best_point(points)
    loss = best.val_loss if best.val_loss is not None else math.inf
    return round(best.dev_score or 0.0, SCORE_DIGITS) + TIE / (1 + loss)


def winner(outcomes: Sequence[Outcome]) -> Outcome:
    """The trial to train anew: chosen as a checkpoint is, by the dev exam within its error, then by validation loss.

    A trial that was pruned is nobody's choice while one was trained to its end. Raises ValueError where all failed.
    """
    for state in ("complete", "pruned"):
        racing = [one for one in outcomes if one.state == state and one.points]
        if racing:
            kept = [best_point(one.points) for one in racing]
            place = [point is best_point(kept) for point in kept].index(True)
            return racing[place]
    raise ValueError("no trial came to a checkpoint")
