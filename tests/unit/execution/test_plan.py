"""The plan's decisions and the reasons it gives."""

from __future__ import annotations

import dataclasses

import pytest

from metier.errors import InputError, MissingError
from metier.execution.plan import in_order, make_plan
from metier.execution.runner import run_plan
from metier.lineage.source import NamedSource, PathSource
from metier.lineage.store import Store
from tests.fixtures.toy_stages import KEEP, WRITE, KeepConfig, WriteConfig, toy_pipeline
from tests.unit.execution.test_runner import Recorder


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    run_plan(make_plan([toy_pipeline()], store), store, Recorder())
    return store


def reasons(store, **settings):
    return {d.step.name: (d.action, d.reason) for d in make_plan([toy_pipeline(**settings)], store)}


def test_an_empty_store_runs_everything(tmp_path):
    plan = reasons(Store(tmp_path))
    assert plan["write"] == ("run", "never ran")
    assert plan["keep"] == ("run", "never ran; after write")


def test_nothing_changed(store):
    assert {action for action, _ in reasons(store).values()} == {"reuse"}


def test_a_changed_value_is_named_with_both_values(store):
    assert reasons(store, longest=2)["keep"] == ("run", "keep.longest 100 -> 2")


def test_what_follows_a_change_may_yet_be_reused(store):
    plan = reasons(store, rows=4)
    assert plan["write"] == ("run", "write.rows 3 -> 4")
    assert plan["keep"] == ("run if changed", "after write")


def test_a_changed_source_is_named(store):
    assert reasons(store, version="2")["write"] == ("run", "input source changed")


def test_planning_writes_nothing(tmp_path):
    make_plan([toy_pipeline()], Store(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_resources_do_not_enter_the_key(store):
    from metier.config import Resources

    step = KEEP.step(KeepConfig(), Resources(cpus=3, workers=7), documents=toy_pipeline().inputs["documents"])
    assert make_plan([step], store)[-1].action == "reuse"


def test_two_steps_of_one_name_are_refused():
    one = WRITE.step(WriteConfig(), source=NamedSource("a"))
    two = WRITE.step(WriteConfig(), source=NamedSource("b"))
    with pytest.raises(ValueError, match="two steps"):
        in_order([one, two])


def test_a_missing_or_unknown_input_is_refused():
    with pytest.raises(TypeError, match="missing inputs"):
        KEEP.step(KeepConfig())
    with pytest.raises(TypeError, match="unknown inputs"):
        WRITE.step(WriteConfig(), source=NamedSource("a"), other=NamedSource("b"))


def test_a_source_that_cannot_be_used_is_refused_before_anything_runs(store, tmp_path):
    step = WRITE.step(WriteConfig(), source=PathSource(str(tmp_path / "nowhere")))
    behind = KEEP.step(KeepConfig(), documents=step)
    with pytest.raises(InputError, match="nowhere: there is no such file"):
        make_plan([behind], store)


def test_a_folder_that_is_not_there_yet_is_a_reason_of_a_plan_that_nothing_carries_out(tmp_path):
    from metier.stages import ingest

    sources = ingest.DocumentSources((ingest.FolderSpec(folder=str(tmp_path / "documents")),))
    step = ingest.STAGE.step(ingest.Config(), sources=sources)
    (decision,) = make_plan([step], Store(tmp_path / "store"), missing_ok=True)
    assert (decision.action, decision.key) == ("run", "")
    assert decision.reason == f"to be filled: folder {tmp_path / 'documents'}: there is no such folder"
    with pytest.raises(MissingError, match="there is no such folder"):
        make_plan([step], Store(tmp_path / "store"))
    (tmp_path / "documents").mkdir()
    with pytest.raises(InputError, match="no document in it"):  # it is there, and no use
        make_plan([step], Store(tmp_path / "store"), missing_ok=True)


def test_settings_that_do_not_fit_their_inputs_are_refused_unless_the_step_is_reused(store):
    def refuse(step):
        raise InputError("does not fit")

    def checked(**settings):
        step = toy_pipeline(**settings)
        return dataclasses.replace(step, stage=dataclasses.replace(step.stage, check=refuse))

    assert make_plan([checked()], store)[-1].action == "reuse"
    with pytest.raises(InputError, match="does not fit"):
        make_plan([checked(longest=2)], store)
