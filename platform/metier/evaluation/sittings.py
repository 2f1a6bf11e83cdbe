"""One short exam sat by several forms of one model, in memory: what each scores, and how far apart two of them are."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from metier.evaluation.statistics import Interval, paired_bootstrap

ENOUGH_QUESTIONS = 8  # fewer that all happen to fall alike have an interval without width


@dataclass(frozen=True)
class Sitting:
    """Scores and answers, question by question, in the exam's order."""

    scores: tuple[float, ...]
    answers: tuple[str, ...]

    @property
    def score(self) -> float:
        """The mean score."""
        return sum(self.scores) / len(self.scores)

    @property
    def error(self) -> float:
        """Its standard error. Few equal scores are not certain either, so one right and one wrong answer are counted in."""
        return statistics.stdev([*self.scores, 0.0, 1.0]) / math.sqrt(len(self.scores))


@dataclass(frozen=True)
class Change:
    """From one sitting to another: the mean difference with its 95 % interval, and the share of answers that are the same."""

    difference: Interval
    same_answers: float
    questions: int

    @property
    def worse(self) -> bool:
        """Whether it is a fall that chance does not explain."""
        return self.questions >= ENOUGH_QUESTIONS and self.difference.high < 0

    @property
    def better(self) -> bool:
        """Whether it is a rise that chance does not explain."""
        return self.questions >= ENOUGH_QUESTIONS and self.difference.low > 0


def change(before: Sitting, after: Sitting) -> Change:
    """How the second sitting differs from the first. Raises ValueError for exams of different length or none."""
    same: Sequence[bool] = [a == b for a, b in zip(before.answers, after.answers, strict=True)]
    return Change(paired_bootstrap(after.scores, before.scores), sum(same) / len(same), len(same))
