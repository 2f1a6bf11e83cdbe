"""Operators over tables on a real Ray: order, batch size and retries do not change what comes out."""

from __future__ import annotations

import os

import pytest

from metier.config import Resources, StageConfig
from metier.errors import InputError, StepError
from metier.execution.dataflow import map_table
from metier.execution.plan import make_plan
from metier.execution.runner import run_plan
from metier.execution.step import Input, Stage
from metier.lineage.store import Store
from metier.records import Document, Passage, Rejection, rejection
from tests.fixtures.toy_stages import toy_pipeline
from tests.unit.execution.test_runner import Recorder


def run(tmp_path, operator, into=Document, rows=10, batch_rows=3):
    stage = Stage(
        name="mapped",
        revision=1,
        summary="",
        config=StageConfig,
        inputs={"documents": Input("documents", record=Document)},
        outputs={},
        run=lambda context: map_table(context, "documents", Document, operator, into),
    )
    written = toy_pipeline(rows=rows).inputs["documents"]
    step = stage.step(StageConfig(), Resources(batch_rows=batch_rows), documents=written)
    store = Store(tmp_path / "store")
    return run_plan(make_plan([step], store), store, Recorder())["mapped"]


def short_ones(documents):
    for document in documents:
        if len(document.text) > 4:
            yield rejection(document, "mapped", "too_long", document.text)
        else:
            yield document.derive(Document, title="kept")


def test_rows_are_kept_or_rejected_in_order(ray_cluster, tmp_path):
    made = run(tmp_path, short_ones)
    assert [d.text for d in made.records(Document)] == ["x", "xx", "xxx", "xxxx"]
    lost = list(made.records(Rejection, "rejected"))
    assert [r.evidence for r in lost] == ["x" * n for n in range(5, 11)]
    assert made.manifest.counts.rejected == {"too_long": 6}
    assert made.manifest.counts.balanced


def test_the_batch_size_changes_nothing(ray_cluster, tmp_path):
    digests = {run(tmp_path / str(n), short_ones, batch_rows=n).fingerprint for n in (1, 4, 100)}
    assert len(digests) == 1


def test_one_row_may_become_many_of_another_type(ray_cluster, tmp_path):
    def letters(documents):
        for d in documents:
            for i, letter in enumerate(d.text):
                yield d.derive(Passage, uri=d.uri, title=d.title, section="", text=letter, position=i)

    assert len(list(run(tmp_path, letters, Passage).records(Passage))) == 55


def test_all_rejected_stops_the_step(ray_cluster, tmp_path):
    with pytest.raises(StepError, match="rejected all 10 rows"):
        run(tmp_path, lambda documents: [rejection(d, "mapped", "bad", "") for d in documents])


def test_an_error_of_ours_comes_out_of_a_worker_as_it_is(ray_cluster, tmp_path):
    def refuse(documents):
        raise InputError("the setting is wrong")

    with pytest.raises(InputError, match="^the setting is wrong$"):
        run(tmp_path, refuse)


def test_an_unforeseen_error_of_a_worker_is_named(ray_cluster, tmp_path):
    def broken(documents):
        raise KeyError("colour")

    with pytest.raises(StepError, match="mapped failed: KeyError: 'colour'"):
        run(tmp_path, broken)


def test_a_worker_that_dies_once_doubles_and_loses_nothing(ray_cluster, tmp_path):
    marker = tmp_path / "died"

    def die_once(documents):
        if not marker.exists():
            marker.write_text("")
            os._exit(1)
        return short_ones(documents)

    assert run(tmp_path, die_once).fingerprint == run(tmp_path / "whole", short_ones).fingerprint
    assert marker.exists()
