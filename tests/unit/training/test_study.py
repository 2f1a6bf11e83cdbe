"""How much each setting mattered."""

from __future__ import annotations

import random

from metier.training.course import Point
from metier.training.space import Dimension
from metier.training.study import importances
from metier.training.trials import Outcome

SPACE = [Dimension("learning_rate", 1e-4, 1e-2, log=True), Dimension("epochs", 1, 4, whole=True),
         Dimension("method.method", choices=("lora", "qlora"))]  # fmt: skip


def outcomes(number: int, state: str = "complete") -> list[Outcome]:
    """Trials whose score follows the learning rate alone."""
    draw = random.Random(0)
    made = []
    for _ in range(number):
        power = draw.uniform(-4, -2)
        settings = {
            "learning_rate": 10**power,
            "epochs": draw.randint(1, 4),
            "method.method": draw.choice(["lora", "qlora"]),
        }
        made.append(Outcome(settings, state, [Point(step=1, epoch=1, train_loss=1, dev_score=(power + 4) / 2)]))
    return made


def test_the_setting_that_scores_follow_is_told_first():
    found = importances(SPACE, outcomes(24), seed=0)
    assert next(iter(found)) == "learning_rate"
    assert found["learning_rate"] > 0.7
    assert found == importances(SPACE, outcomes(24), seed=0)


def test_too_few_trials_and_equal_ones_tell_nothing():
    assert importances(SPACE, outcomes(3), seed=0) == {}
    assert importances(SPACE, [*outcomes(3), *outcomes(9, "failed")], seed=0) == {}
    assert importances(SPACE, outcomes(1) * 9, seed=0) == {}
