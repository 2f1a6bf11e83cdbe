"""What training does with its time: tokens a second, the share of the card's arithmetic, padding, memory, cost. Pure.

MFU is the operations that the model needs over those that the devices could do (Chowdhery et al. 2022, PaLM, appendix B):
what is computed twice to spare memory, and padding, count for nothing, and a beginning that examples share counts once.
Attention within an example is left out (1 % of the operations at 450 tokens), so the share is a little too low.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from dataclasses import dataclass

from metier.training.course import StepReport
from metier.training.model import AnyMethod, FullMethod
from metier.training.shape import Shape

WINDOW = 20  # steps that make the present pace


@dataclass(frozen=True)
class Work:
    """Operations that a model needs, forward and backward."""

    a_token: float
    a_label: float  # in the output layer, for a token that the loss covers

    @classmethod
    def of(cls, shape: Shape, method: AnyMethod) -> Work:
        """Two a weight forward, two for the gradient by the input, and two by the weight where it is trained."""
        if isinstance(method, FullMethod):
            return cls(6.0 * shape.linear, 6.0 * shape.head)
        return cls(4.0 * shape.linear + 6.0 * shape.adapters(method.rank), 4.0 * shape.head)


@dataclass(frozen=True)
class Pace:
    """The last steps' pace, and what was spent so far."""

    tokens_per_second: float  # of the examples: padding never counts
    padding_share: float  # of what is computed; hidden where beginnings are shared
    mfu: float | None  # None on a CPU, or where the model's or the card's figures are not known
    peak_bytes: int
    seconds_left: float  # evaluations left out
    cost_usd: float | None  # of this attempt, evaluations included; None where no price is set


class Meter:
    """Reads the pace off the reports of one attempt."""

    def __init__(
        self,
        *,
        work: Work | None = None,
        workers: int = 1,
        usd_per_hour: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`usd_per_hour`: of one worker."""
        self._work, self._workers, self._price = work, workers, usd_per_hour
        self._clock, self._began = clock, clock()
        self._recent: collections.deque[StepReport] = collections.deque(maxlen=WINDOW)

    def read(self, report: StepReport) -> Pace:
        """The pace with this step."""
        self._recent.append(report)
        seconds = max(1e-9, sum(r.seconds for r in self._recent))
        tokens = sum(r.tokens for r in self._recent)
        computed = sum(r.computed_tokens for r in self._recent)
        hours = (self._clock() - self._began) / 3600
        return Pace(
            tokens_per_second=tokens / seconds,
            padding_share=max(0.0, 1 - tokens / computed) if computed else 0.0,
            mfu=self._mfu(seconds, report.device_flops),
            peak_bytes=report.peak_bytes,
            seconds_left=(report.steps - report.step) * seconds / len(self._recent),
            cost_usd=self._price * self._workers * hours if self._price else None,
        )

    def _mfu(self, seconds: float, flops: float) -> float | None:
        if self._work is None or not flops:
            return None
        tokens = sum(min(r.tokens, r.computed_tokens) for r in self._recent)
        operations = tokens * self._work.a_token + sum(r.labels for r in self._recent) * self._work.a_label
        return operations / seconds / (flops * self._workers)
