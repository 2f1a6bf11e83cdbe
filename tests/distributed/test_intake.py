"""A user's table of many slices: workers read what one process reads, and refuse what it refuses."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from metier.lineage import lines
from metier.lineage.artifact import Artifact
from metier.lineage.shards import to_table
from metier.records import Document
from tests.fixtures.command_line import metier, refused

ROWS = [
    Document(uri=f"{n}.md", title=f"Rule {n}", text=f"Rule {n} says how a branch keeps its books.") for n in range(60)
]


def write(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(to_table(Document, rows), path, row_group_size=7)
    else:
        path.write_text("".join(json.dumps({"uri": d.uri, "title": d.title, "text": d.text}) + "\n" for d in rows))
    return path


@pytest.mark.parametrize("name", ["in.jsonl", "in.parquet"])
def test_a_table_in_slices_is_the_table_in_one(ray_cluster, tmp_path, monkeypatch, name):
    path, made = write(tmp_path / name, ROWS), []
    for size in (10**6, 500):
        monkeypatch.setattr(lines, "PART", size)
        outcome = metier("stage", "supersede", "--input", path, "--output", tmp_path / str(size))
        assert outcome.code == 0, outcome.err
        made.append(Artifact(tmp_path / str(size)))
    assert made[0].manifest.inputs == made[1].manifest.inputs
    assert made[0].fingerprint == made[1].fingerprint
    assert [d.uri for d in made[1].records(Document)] == [d.uri for d in ROWS]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "500", "1000000"])


def test_a_faulty_row_in_a_later_slice_is_refused_in_one_line(ray_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "PART", 500)
    path = write(tmp_path / "in.jsonl", ROWS)
    path.write_text(path.read_text() + '{"uri": "a"}\n')
    said = refused("stage", "supersede", "--input", path, "--output", tmp_path / "out")
    assert "in.jsonl, row 61: column title is missing" in said
    assert not (tmp_path / "out").exists()


def test_a_missing_column_is_refused_before_anything_is_read(tmp_path):
    table = to_table(Document, ROWS).drop_columns(["text"])
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=7)
    said = refused("stage", "supersede", "--input", tmp_path / "in.parquet", "--output", tmp_path / "out")
    assert "in.parquet: column text is missing (columns of a Document" in said
