"""The course of training: what is told of each step and of each checkpoint, and all of it together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


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
    device_flops: float = 0.0  # that one worker's device does a second, as measured on it; 0: not known


class StepLoss(NamedTuple):
    """What stays in the history of a step."""

    step: float
    loss: float  # mean of a labelled token
    labels: float = 1.0  # tokens that the loss covers: few of them make a noisy loss


@dataclass(frozen=True)
class DevScore:
    """What the dev exam gave at a checkpoint."""

    score: float
    error: float  # its standard error
    answer_words: float
    refusal_share: float


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


@dataclass(frozen=True)
class Facts:
    """What a verdict needs beside the course; None where it is not known."""

    neighbour_share: float | None = None  # of the training examples (metier.training.diversity)
    dev_questions: int = 0
    reference_words: float | None = None  # mean length of the dev exam's reference answers
    unanswerable_share: float | None = None  # of the dev exam's questions


@dataclass
class History:
    """The course so far."""

    points: list[Point] = field(default_factory=list)
    losses: list[Sequence[float]] = field(default_factory=list)  # a StepLoss for each step
    stopped_early: bool = False

    def note(self, report: StepReport) -> None:
        """Keeps of a step what a resumed run and a verdict need."""
        self.losses.append([report.step, report.loss, report.labels])

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> History:
        """The reverse."""
        return cls([Point(**p) for p in tree["points"]], tree["losses"], tree["stopped_early"])
