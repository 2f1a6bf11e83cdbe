"""The lifecycle as steps: what feeds what."""

from __future__ import annotations

import pytest

from metier.execution.plan import in_order
from metier.execution.step import Step
from metier.experiment import Experiment
from metier.pipeline import lifecycle


@pytest.fixture
def steps():
    """The steps of an experiment by name."""

    def steps(**stages: object) -> dict[str, Step]:
        tree = {"name": "x", "sources": [{"folder": "docs"}], "stages": stages}
        return {step.name: step for step in in_order(lifecycle(Experiment.model_validate(tree)))}

    return steps


def test_without_a_search_nothing_is_tuned(steps):
    found = steps()
    assert "tune" not in found
    assert not any("settings" in step.inputs for step in found.values())


def test_training_takes_what_the_search_found_and_the_report_tells_it(steps):
    found = steps(
        tune={"search": {"learning_rate": {"low": 1e-4, "high": 1e-3}}}, train={"epochs": 7}, blend={"seed": 3}
    )
    assert found["train"].inputs["settings"] is found["report"].inputs["tune"] is found["tune"]
    assert "settings" not in found["blend"].inputs
    assert (found["tune"].config.train.epochs, found["tune"].config.blend.seed) == (7, 3)
    assert found["tune"].inputs["dialogues"] is found["blend"].inputs["dialogues"]


def test_the_blend_takes_it_where_its_settings_were_searched(steps):
    found = steps(tune={"search": {"blend.retrieval_share": {"low": 0.5, "high": 1}}})
    assert found["blend"].inputs["settings"] is found["tune"]
