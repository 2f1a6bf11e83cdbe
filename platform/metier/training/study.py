"""A search space as Optuna sees it, and how much each setting mattered for what the trials came to.

Importance is fANOVA's: the share of the scores' variance that a setting explains by itself, after a random forest over the
trials (Hutter, Hoos, Leyton-Brown 2014, An Efficient Approach for Assessing Hyperparameter Importance).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metier.training.space import Dimension
from metier.training.trials import Outcome, objective

LEAST_TRIALS = 4  # fewer tell nothing about what mattered


def distribution(one: Dimension) -> Any:
    """Optuna's distribution of a setting."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if one.choices:
        return CategoricalDistribution(one.choices)
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)


def importances(space: Sequence[Dimension], outcomes: Sequence[Outcome], seed: int) -> dict[str, float]:
    """The share of each setting, largest first; empty where too few trials ran, or all came to the same.

    A pruned trial counts with what it had come to by then.
    """
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ran = [one for one in outcomes if one.state != "failed" and one.points]
    values = [objective(one.points) for one in ran]
    if len(ran) < LEAST_TRIALS or len(set(values)) == 1:
        return {}
    study = optuna.create_study(direction="maximize")
    kinds = {one.name: distribution(one) for one in space}
    for one, value in zip(ran, values, strict=True):
        study.add_trial(create_trial(value=value, params=dict(one.settings), distributions=kinds))
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
    return {name: round(float(share), 4) for name, share in found.items()}
