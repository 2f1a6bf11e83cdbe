"""Refuses a plan of steps that is faulty: what is left out, seen twice, or not mixed. Pure.

All three train without a word and cost quality: a set that is sorted (by task, by document, by length) teaches what came last,
and a loss over it drifts within each epoch.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence

import numpy as np

from metier.errors import StepError

LEAST_STEPS = 16  # in an epoch: of fewer steps any order may come up by chance
CERTAIN = 5.0  # standard deviations: one mixed plan in two million is further off


def refuse_unsound_plan(plan: Sequence[Sequence[Sequence[int]]], lengths: Sequence[int]) -> None:
    """Refuses epochs, made of steps of places in `lengths`, that do not show each place once and in a mixed order.

    `lengths`: tokens of each pack, in the order of the data set. Raises StepError.
    """
    for number, epoch in enumerate(plan, 1):
        _refuse_unequal_share(number, epoch, len(lengths))
        by_length = [sum(lengths[place] for place in step) / len(step) for step in epoch]
        by_place = [sum(step) / len(step) for step in epoch]
        for sorted_by, values in (("length", by_length), ("their place in the data set", by_place)):
            if _drifts(values):
                raise StepError(f"training: the examples of epoch {number} are sorted by {sorted_by}, not mixed")
    _refuse_same_order(plan)


def _refuse_unequal_share(number: int, epoch: Sequence[Sequence[int]], packs: int) -> None:
    seen = collections.Counter(place for step in epoch for place in step)
    twice = next((place for place, times in seen.items() if times > 1), None)
    if twice is not None:
        raise StepError(f"training: pack {twice} comes {seen[twice]} times in epoch {number}")
    if strange := sorted(seen.keys() - set(range(packs))):
        raise StepError(f"training: epoch {number} asks for pack {strange[0]}, and there are {packs}")
    if len(seen) < packs:
        raise StepError(f"training: epoch {number} leaves out {packs - len(seen)} of {packs} packs")


def _refuse_same_order(plan: Sequence[Sequence[Sequence[int]]]) -> None:
    known: dict[tuple[tuple[int, ...], ...], int] = {}
    for number, epoch in enumerate(plan, 1):
        order = tuple(map(tuple, epoch))
        if order in known and len(order) >= LEAST_STEPS:
            raise StepError(f"training: epoch {number} has the order of epoch {known[order]}: it was not mixed anew")
        known[order] = number


def _drifts(values: Sequence[float]) -> bool:
    """Whether they rise or fall along the epoch, by Spearman's rank correlation with Fisher's transformation."""
    steps = len(values)
    if steps < LEAST_STEPS or len(set(values)) == 1:
        return False
    rho = float(np.corrcoef(np.arange(steps), _ranks(values))[0, 1])
    return abs(math.atanh(max(-0.999999, min(0.999999, rho)))) * math.sqrt((steps - 3) / 1.06) > CERTAIN


def _ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks from 0; equal values share their mean rank."""
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[inverse]
