"""The watch while training goes on: no number, divergence, loss spikes, steps out of order. Pure, in constant time a step.

A step may hold a single short answer that nobody could guess, so the loss of one step says little where batches are small.
Losses are therefore pooled until they cover enough labelled tokens, and a pool is held against the median and the median
absolute deviation of the calm pools before it, which no single pool can move (Hampel 1974).
"""

from __future__ import annotations

import collections
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metier.errors import StepError
from metier.training.course import Point, StepLoss

DIVERGED = "training diverged"  # what the message of a divergence begins with
ENOUGH_LABELS = 256  # of a pool: some 25 short answers, or a part of one step where batches are large
FIRST, RECENT = 5, 10  # steps: so many are the beginning, so many are recent
WORSE, MOST = 2.0, 0.9  # that share of recent steps at this many times the first loss is divergence
LEAST_FIRST = 2.0  # the first steps may be easy by chance, and a model that is broken guesses worse than at 4
CALM, LEAST_CALM = 24, 8  # pools that make the level: of more, the fall of the loss would seem to be noise
DEVIATIONS = 4.0  # above the level: not by chance, but for a batch that is hard itself
NORMAL = 1.4826  # standard deviations in a median absolute deviation, of a normal distribution
RISE = 0.25  # of the level at least, where the noise is next to none
SPIKE_POOLS = 3  # in a row: one long answer can make one batch hard, and weights that were thrown off need time
LASTING, LASTING_POOLS = 20, 4  # steps and pools: a spike that long has not come back
HALF_WAY = 0.5  # from the level back to where training began: that much is lost in divergence


@dataclass(frozen=True)
class Spike:
    """Steps whose loss stands far above the level before them."""

    step: int
    steps: int
    peak: float  # the highest pool's mean loss
    level: float
    over: bool  # whether the loss came back


class Watch:
    """Follows a course step by step. A resumed course is followed from its history."""

    def __init__(self, losses: Iterable[Sequence[float]] = ()) -> None:
        self._last: StepLoss | None = None
        self._first: list[StepLoss] = []
        self._recent: collections.deque[StepLoss] = collections.deque(maxlen=RECENT)
        self._pool: list[StepLoss] = []
        self._calm: collections.deque[float] = collections.deque(maxlen=CALM)
        self._rising: list[list[StepLoss]] = []
        self._over: list[Spike] = []
        for row in losses:
            self._take(StepLoss(*row))

    @property
    def spikes(self) -> list[Spike]:
        """All spikes so far; of the last one it may not be known yet whether the loss comes back."""
        return [*self._over, *([self._spike(over=False)] if len(self._rising) >= SPIKE_POOLS else [])]

    @property
    def first_loss(self) -> float | None:
        """Median loss of the first steps, which two thrown-off ones do not move; None before there are any."""
        return statistics.median(one.loss for one in self._first) if self._first else None

    def see(self, loss: StepLoss, grad_norm: float | None = None, checkpoint: int = 0) -> None:
        """Takes in a step, whose gradient had that norm before clipping. Raises StepError where training is not sound.

        `checkpoint`: the step of the last checkpoint, 0 where there is none yet.
        """
        for name, value in (("loss", loss.loss), ("gradient's norm", grad_norm)):
            if value is not None and not math.isfinite(value):
                raise _diverged(f"the {name} is {value}", loss.step, checkpoint)
        self._take(loss)
        if fault := self._fault():
            raise _diverged(fault, loss.step, checkpoint)

    def _take(self, loss: StepLoss) -> None:
        if self._last is not None and loss.step != self._last.step + 1:
            raise StepError(
                f"training: step {loss.step:.0f} comes after step {self._last.step:.0f}: steps are repeated or left out, "
                "so the examples are not seen as planned"
            )
        self._last = loss
        if len(self._first) < FIRST:
            self._first.append(loss)
        self._recent.append(loss)
        self._pool.append(loss)
        if _labels(self._pool) >= ENOUGH_LABELS:
            self._judge(self._pool)
            self._pool = []

    def _judge(self, pool: list[StepLoss]) -> None:
        """Adds a full pool to the level or, if it stands far above it, to the spike."""
        if len(self._calm) >= LEAST_CALM and _mean(pool) > _bound(self._calm):
            self._rising.append(pool)
            return
        if len(self._rising) >= SPIKE_POOLS:
            self._over.append(self._spike(over=True))
        self._rising = []
        self._calm.append(_mean(pool))

    def _spike(self, over: bool) -> Spike:
        return Spike(
            step=int(self._rising[0][0].step),
            steps=sum(map(len, self._rising)),
            peak=max(map(_mean, self._rising)),
            level=statistics.median(self._calm),
            over=over,
        )

    def _fault(self) -> str:
        """Why this is divergence, in words; empty where it is none."""
        first, recent = self.first_loss or 0.0, _mean(self._recent)
        if sum(one.loss > WORSE * max(LEAST_FIRST, first) for one in self._recent) >= MOST * RECENT:
            return f"the mean loss of the last {RECENT} steps is {recent:.1f}, after {first:.1f} at the beginning"
        if len(self._rising) < LASTING_POOLS or sum(map(len, self._rising)) < LASTING:
            return ""
        spike, mean = self._spike(over=False), _mean([one for pool in self._rising for one in pool])
        if mean < spike.level + HALF_WAY * max(first - spike.level, spike.level):
            return ""
        return f"the loss rose from {spike.level:.2f} to {mean:.2f} at step {spike.step} and has not come back"


def refuse_unsound_point(point: Point, checkpoint: int = 0) -> None:
    """Refuses a checkpoint whose validation loss is no number. Raises StepError.

    `checkpoint`: the step of the checkpoint before it, 0 where there is none.
    """
    if point.val_loss is not None and not math.isfinite(point.val_loss):
        raise _diverged(f"the validation loss is {point.val_loss}", point.step, checkpoint)


def _diverged(what: str, step: float, checkpoint: int) -> StepError:
    sound = f" (checkpoint {checkpoint} is the last sound one)" if checkpoint else ""
    return StepError(
        f"{DIVERGED}: {what} at step {step:.0f}; lower train.learning_rate or train.max_grad_norm, or raise "
        f"train.warmup_share{sound}"
    )


def _labels(losses: Iterable[StepLoss]) -> float:
    return sum(one.labels for one in losses)


def _mean(losses: Iterable[StepLoss]) -> float:
    """Of a labelled token."""
    rows = list(losses)
    return sum(one.loss * max(1.0, one.labels) for one in rows) / sum(max(1.0, one.labels) for one in rows)


def _bound(calm: Sequence[float]) -> float:
    """What no pool reaches by chance."""
    level = statistics.median(calm)
    deviation = statistics.median(abs(value - level) for value in calm)
    return level + max(DEVIATIONS * NORMAL * deviation, RISE * level)
