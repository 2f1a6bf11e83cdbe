"""Operators over tables and lists: order, rejections, and errors that cross a worker's border."""

from __future__ import annotations

import os

import pytest

from metier.config import Resources
from metier.errors import InputError, StepError
from metier.execution.dataflow import map_items, map_table
from metier.execution.step import Context
from metier.lineage.artifact import Writer
from metier.lineage.manifest import Counts
from metier.records import Document, rejection
from tests.fixtures.toy_stages import KEEP, KeepConfig


def documents(count: int) -> list[Document]:
    return [Document(uri=f"{i:04}", title=str(i), text=str(i)) for i in range(count)]


def context_with(tmp_path, rows: list[Document], batch_rows: int = 256) -> Context[KeepConfig]:
    source = Writer(tmp_path / "in")
    source.table("kept", Document, rows)
    artifact = source.commit(stage="x", step="x", revision=1, config={}, inputs={}, counts=Counts())
    resources = Resources(batch_rows=batch_rows)
    return Context(
        "keep", KeepConfig(), resources, {"documents": artifact}, Writer(tmp_path / f"out{batch_rows}"), KEEP
    )


def odd_only(rows: list[Document]):
    for row in rows:
        yield row if int(row.text) % 2 else rejection(row, "keep", "even", row.text)


def refuse(rows: list[Document]):
    raise InputError(f"document {rows[0].uri}: no such thing")


def kept_in(context: Context[KeepConfig]) -> list[Document]:
    made = context.output.commit(stage="x", step="x", revision=1, config={}, inputs={}, counts=Counts())
    return list(made.records(Document))


def test_a_list_is_worked_on_in_parts_and_keeps_its_order(tmp_path, ray_cluster):
    context = context_with(tmp_path, documents(1))
    counts = map_items(context, documents(100), odd_only, Document)
    assert counts == Counts(read=100, kept=50, rejected={"even": 50})
    assert [d.uri for d in kept_in(context)] == [f"{i:04}" for i in range(1, 100, 2)]


def test_an_item_from_which_nothing_comes_was_lost(tmp_path, ray_cluster):
    counts = map_items(context_with(tmp_path, documents(1)), documents(3), lambda rows: rows[:0], Document)
    assert not counts.balanced


def test_the_size_of_a_batch_changes_no_result(tmp_path, ray_cluster):
    found = []
    for batch_rows in (7, 1000):
        context = context_with(tmp_path, documents(60), batch_rows)
        assert map_table(context, "documents", Document, odd_only, Document) == Counts(
            read=60, kept=30, rejected={"even": 30}
        )
        found.append(kept_in(context))
    assert found[0] == found[1]
    assert [d.uri for d in found[0]] == [f"{i:04}" for i in range(1, 60, 2)]


def test_rows_are_written_where_they_are_worked_on(tmp_path, ray_cluster):
    def noted(rows: list[Document]):
        assert len(rows) <= 7
        for row in rows:
            yield row.derive(Document, text=str(os.getpid()))

    context = context_with(tmp_path, documents(60), batch_rows=7)
    map_table(context, "documents", Document, noted, Document)
    assert str(os.getpid()) not in {d.text for d in kept_in(context)}


def test_a_single_batch_is_worked_on_here(tmp_path):
    pids, said = set(), []

    def noted(rows: list[Document]):
        pids.add(os.getpid())
        return odd_only(rows)

    context = context_with(tmp_path, documents(60))
    context.progress = lambda *words: said.append(words)
    counts = map_table(context, "documents", Document, noted, Document)
    assert counts == Counts(read=60, kept=30, rejected={"even": 30})
    assert pids == {os.getpid()}
    assert said == [(60, 60, "rows")]


def test_an_error_of_ours_comes_out_of_a_worker_as_it_was(tmp_path, ray_cluster):
    context = context_with(tmp_path, documents(3), batch_rows=1)
    with pytest.raises(InputError, match="^document 0000: no such thing$"):
        map_table(context, "documents", Document, refuse, Document)


def test_losing_every_row_is_an_error(tmp_path, ray_cluster):
    context = context_with(tmp_path, documents(1))
    with pytest.raises(StepError, match="rejected all 1 rows"):
        map_table(context, "documents", Document, odd_only, Document)
