"""The catalogue: every stage once, and each one fit for the command line, job scripts and the plan."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import metier.stages
from metier.execution.plan import in_order
from metier.experiment import Experiment
from metier.lineage.manifest import step_key
from metier.pipeline import lifecycle
from metier.records import Record, Rejection
from metier.stages.catalogue import STAGES

every_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))


@pytest.fixture(scope="module")
def steps():
    """The steps of a whole experiment, by name."""
    given = {"name": "x", "sources": [{"folder": "d"}], "dialogues": [{"folder": "l"}], "exam": "e", "verdicts": "v"}
    search = {"tune": {"search": {"epochs": {"low": 1, "high": 2}}}}
    experiment = Experiment.model_validate(given | {"stages": search})
    return {step.name: step for step in in_order(lifecycle(experiment))}


def test_every_file_of_a_stage_is_in_the_catalogue():
    files = {p.stem for p in Path(metier.stages.__file__).parent.glob("[a-z]*.py")}
    files -= {"catalogue", "dev_exam"}  # the latter is what train, tune and merge share
    assert set(STAGES) - {"anonymise_dialogues", "deduplicate_documents"} == files  # each in the file of its twin


def test_the_lifecycle_uses_every_stage_of_the_catalogue(steps):
    alone = {"deduplicate_semantic"}  # beside the road, for who wants it
    assert {step.stage.name for step in steps.values()} == set(STAGES) - alone
    assert all(STAGES[step.stage.name] is step.stage for step in steps.values())


def test_the_catalogue_stands_in_the_order_of_a_documents_way(steps):
    place = {name: number for number, name in enumerate(STAGES)}
    behind = [
        (before.stage.name, step.stage.name)
        for step in steps.values()
        for before in step.inputs.values()
        if hasattr(before, "stage") and place[before.stage.name] >= place[step.stage.name]
    ]
    assert behind == []


@every_stage
def test_a_stage_can_be_named_listed_and_run_by_its_defaults(stage):
    assert re.fullmatch("[a-z][a-z_]*", stage.name)
    assert stage.revision >= 1
    assert 10 < len(stage.summary) < 120
    assert step_key(stage.name, stage.revision, stage.config().identity(), {})


@every_stage
def test_the_first_input_is_the_one_that_must_be_given(stage):
    first = next(iter(stage.inputs.values()))
    assert not first.optional


@every_stage
def test_a_table_of_rejections_goes_with_rows_that_are_conserved(stage):
    tables = [kind for kind in stage.outputs.values() if isinstance(kind, type)]
    assert all(issubclass(kind, Record) for kind in tables)
    if stage.conserves:
        assert stage.outputs["rejected"] is Rejection
