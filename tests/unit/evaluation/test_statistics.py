"""Bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest

from metier.evaluation.statistics import mean_interval, paired_bootstrap


def test_a_constant_has_no_width():
    assert mean_interval([0.5] * 20) == mean_interval([0.5] * 20, seed=9)
    assert (mean_interval([0.5] * 20).low, mean_interval([0.5] * 20).high) == (0.5, 0.5)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(3)
    hits = 0
    for trial in range(200):
        found = mean_interval(list(generator.normal(0.3, 1, size=60)), seed=trial, resamples=500)
        hits += found.low <= 0.3 <= found.high
    assert 0.88 <= hits / 200 <= 1.0


def test_pairing_sees_what_unpaired_scores_hide():
    hard = np.random.default_rng(0).random(80)
    found = paired_bootstrap(list(hard + 0.05), list(hard))
    assert found.low > 0
    assert found.mean == pytest.approx(0.05)


def test_scores_that_are_no_pairs_are_refused():
    with pytest.raises(ValueError, match="differ in number"):
        paired_bootstrap([1.0], [])
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])
