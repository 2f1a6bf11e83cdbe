"""The course of training: what is told of each step and of each checkpoint, and all of it together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class StepReport:
    """One step, over all workers."""

    step: int
    steps: int  # of the whole training
    loss: float  # mean of a labelled token
    learning_rate: float
    grad_norm: float  # before clipping
    tokens: int  # of the examples: what a reader would count
    computed_tokens: int  # padding included, a beginning that examples share once
    labels: int  # tokens that the loss covers
    seconds: float  # since the step before, evaluations left out
    peak_bytes: int = 0  # of the first worker's device so far; 0: a CPU


@dataclass(frozen=True)
class Point:
    """One checkpoint. What `dev_score` and the fields below it say comes from the dev exam; None where none was sat."""

    step: int
    epoch: float
    train_loss: float
    val_loss: float | None = None
    dev_score: float | None = None
    dev_error: float | None = None  # the score's standard error
    answer_words: float | None = None
    refusal_share: float | None = None


@dataclass
class History:
    """The course so far."""

    points: list[Point] = field(default_factory=list)
    losses: list[list[float]] = field(default_factory=list)  # [step, training loss]
    stopped_early: bool = False

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> History:
        """The reverse."""
        return cls([Point(**p) for p in tree["points"]], tree["losses"], tree["stopped_early"])
