"""Versions over a real Ray: neither the workers, nor the order of rows, nor a death in the middle changes what is found."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from metier.config import Resources
from metier.execution.runner import execute
from metier.execution.step import Step
from metier.lineage.artifact import Artifact, Writer
from metier.lineage.fingerprint import file_digest
from metier.records import Document
from metier.stages import supersede
from tests.fixtures.stage_alone import Silent, as_table

ROWS = 400


def documents() -> list[Document]:
    """Of ten, one is a version of the one before under its title, one of the one before under another; one is a namesake of
    many, one has no day and one a day that is none."""
    chooser, made = random.Random(3), list[Document]()
    for row in range(ROWS):
        text = " ".join(f"w{chooser.randrange(4000)}" for _ in range(60))
        title, day = f"Title {row}", f"20{10 + row % 10}-01-01"
        if row % 10 == 1:  # half of it is another
            title, text = f"{made[-1].title} (v2)", made[-1].text[: len(text) // 2] + text[len(text) // 2 :]
        if row % 10 == 3:  # one word more
            text = made[-1].text.replace(" ", " so ", 1)
        if row % 10 == 4:
            title = "Introduction"
        if row % 10 in (5, 6):
            day = "" if row % 2 else "soon"
        made.append(Document(uri=f"{row}.txt", title=title, text=text, effective=day))
    return made


def run(folder: Path, rows: list[Document], **resources) -> Artifact:
    given = as_table(folder / "given", rows, Document)
    placed = Resources(**{"batch_rows": 1} | resources)  # chunks of 64 rows
    step = Step(name="supersede", stage=supersede.STAGE, config=supersede.Config(), resources=placed, inputs={})
    return execute(step, {"documents": given}, {"documents": given.fingerprint}, Writer(folder / "out"), Silent())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """As one process makes it."""
    return run(tmp_path_factory.mktemp("alone"), documents(), batch_rows=1000)


def test_all_planted_versions_are_found(alone):
    found = {row.uri: row.by_uri for row in alone.records(supersede.Superseded, "superseded")}
    assert found == {f"{row}.txt": f"{row + 1}.txt" for row in range(ROWS) if row % 10 in (0, 2)}
    assert alone.manifest.counts.rejected == {"invalid_date": ROWS // 10}


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_changes_nothing(ray_cluster, tmp_path, alone, workers):
    made = run(tmp_path, documents(), cpus=4 / workers)  # of the four that the session has
    assert len(made.table_files()) == 7
    assert made.fingerprint == alone.fingerprint
    assert list(made.records(Document)) == list(alone.records(Document))


def test_the_order_of_rows_changes_nothing(ray_cluster, tmp_path, alone):
    assert run(tmp_path, random.Random(1).sample(documents(), ROWS)).fingerprint == alone.fingerprint


def test_a_worker_that_dies_in_the_middle_changes_no_byte(ray_cluster, tmp_path, monkeypatch):
    mark, read_again = tmp_path / "died", supersede.read_again

    def dying(*arguments):
        if not mark.exists():  # in the second reading: keys are made by then
            mark.touch()
            os._exit(1)
        return read_again(*arguments)

    def bytes_of(made: Artifact) -> dict[str, str]:
        return {entry.path: file_digest(made.folder / entry.path) for entry in made.manifest.files}

    whole = bytes_of(run(tmp_path / "whole", documents()))
    monkeypatch.setattr(supersede, "read_again", dying)
    assert bytes_of(run(tmp_path / "hurt", documents())) == whole
    assert mark.exists()
