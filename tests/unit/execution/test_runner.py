"""Running a plan: what is made, what is reused, what a failure leaves behind."""

from __future__ import annotations

import contextlib
import dataclasses
import errno

import pytest

from metier.errors import InputError, MachineError, StepError
from metier.execution.plan import make_plan
from metier.execution.runner import run_plan, run_step
from metier.lineage.manifest import Counts
from metier.lineage.store import Store
from metier.records import Document
from tests.fixtures.toy_stages import toy_pipeline


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def started(self, step):
        self.events.append(("started", step.name))

    def progress(self, step, done, total, what):
        self.events.append(("progress", step.name))

    def finished(self, step, artifact, seconds, reused):
        self.events.append(("reused" if reused else "made", step.name))


def run(store: Store, **settings):
    recorder = Recorder()
    made = run_plan(make_plan([toy_pipeline(**settings)], store), store, recorder)
    return made, recorder.events


def with_run(step, function):
    stage = dataclasses.replace(step.stage, run=function)
    return dataclasses.replace(step, stage=stage)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_a_first_run_makes_and_a_second_reuses(store):
    _, first = run(store)
    _, second = run(store)
    assert first == [("started", "write"), ("made", "write"), ("started", "keep"), ("made", "keep")]
    assert second == [("reused", "write"), ("reused", "keep")]


def test_one_changed_value_reruns_only_what_depends_on_it(store):
    run(store)
    _, events = run(store, longest=2)
    assert events == [("reused", "write"), ("started", "keep"), ("made", "keep")]


def test_a_rerun_that_gives_the_same_rows_rebuilds_nothing_after_it(store):
    run(store)
    _, events = run(store, version="2")  # the source is new, the rows are not
    assert events == [("started", "write"), ("made", "write"), ("reused", "keep")]


def test_rows_that_a_stage_loses_stop_the_run(store):
    step = with_run(toy_pipeline(), lambda context: Counts(read=3, kept=2))
    with pytest.raises(StepError, match="lost rows"):
        run_plan(make_plan([step], store), store, Recorder())
    assert make_plan([step], store)[-1].reason == "an earlier attempt was interrupted"


def test_a_full_disk_is_named(store):
    def full(context):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(MachineError, match="no space is left"):
        run_plan(make_plan([with_run(toy_pipeline(), full)], store), store, Recorder())


def test_an_unforeseen_failure_becomes_one_line_and_a_log(store):
    def broken(context):
        raise ValueError("two\nlines")

    with pytest.raises(StepError, match=r"keep failed: ValueError: lines \(the whole story: .*error.log\)") as caught:
        run_plan(make_plan([with_run(toy_pipeline(), broken)], store), store, Recorder())
    log = str(caught.value).split("story: ")[1].rstrip(")")
    with open(log) as file:
        assert "Traceback" in file.read()


def test_files_of_a_killed_attempt_are_gone_after_the_next(store):
    plan = make_plan([toy_pipeline()], store)
    folder = store.folder("write", plan[0].key)
    folder.mkdir(parents=True)
    (folder / "kept.parquet").write_bytes(b"half")
    (folder / "orphan.parquet").write_bytes(b"half")
    made, _ = run(store)
    assert not (folder / "orphan.parquet").exists()
    assert len(list(made["write"].records(Document))) == 3


def test_two_runs_do_not_write_the_same_step(store):
    plan = make_plan([toy_pipeline()], store)
    with store.writing("write", plan[0].key), pytest.raises(InputError, match="another run"):
        run_plan(plan, store, Recorder())


def test_what_another_run_made_since_the_plan_is_reused_and_not_cleared_away(store, monkeypatch):
    plan = make_plan([toy_pipeline()], store)
    real = store.writing

    @contextlib.contextmanager
    def late(step, key):
        monkeypatch.setattr(store, "writing", real)
        run_plan(make_plan([toy_pipeline()], store), store, Recorder())  # the other run, just before our lock
        with real(step, key) as place:
            yield place

    monkeypatch.setattr(store, "writing", late)
    made = run_plan(plan, store, Recorder())
    assert make_plan([toy_pipeline()], store)[0].action == "reuse"
    assert all(f.path and (made["write"].folder / f.path).exists() for f in made["write"].manifest.files)


def test_one_step_is_made_with_all_that_it_needs_or_found(store):
    made = run_step(toy_pipeline(), store)
    assert made.manifest.step == "keep"
    assert len(list(made.records(Document))) == 3
    before = (made.folder / "manifest.json").stat().st_mtime_ns
    assert (run_step(toy_pipeline(), store).folder / "manifest.json").stat().st_mtime_ns == before
