"""A table without some of its rows: what stays, what is rejected and why, in one piece and in many."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from metier.config import Resources
from metier.execution.removal import in_order, write_removal
from metier.execution.step import Context
from metier.execution.tasks import Here, OnCluster
from metier.lineage.artifact import Artifact, Writer
from metier.lineage.manifest import Counts
from metier.lineage.shards import chunked
from metier.records import Document, Rejection
from tests.fixtures.stage_alone import as_table
from tests.fixtures.toy_stages import KEEP, KeepConfig

ROWS = [Document(uri=f"{number}.md", title=str(number), text="x" * number) for number in range(10)]
WHY = {2: ("long", "two"), 3: ("odd", "three"), 9: ("odd", "nine")}


def removals(**why: tuple[str, str]) -> pa.Table:
    """Rows that go, by number."""
    rows = [{"row": int(number), "reason": reason, "evidence": said} for number, (reason, said) in why.items()]
    schema = pa.schema({"row": pa.int64(), "reason": pa.string(), "evidence": pa.string()})
    return pa.Table.from_pylist(rows, schema=schema)


GONE = removals(**{str(number): said for number, said in WHY.items()})


def written(place, gone: pa.Table, rows=ROWS, *, each: int = 100, tasks=None, first: int = 0) -> tuple[Artifact, list]:
    """The output, and the progress that was told. `each`: rows of a chunk."""
    source, told = as_table(place / "in", rows, Document), []
    context = Context("keep", KeepConfig(), Resources(), {"documents": source}, Writer(place / "out"), KEEP,
                      lambda *words: told.append(words))  # fmt: skip
    chunks = chunked(context.files("documents"), each, first)
    counts = write_removal(context, tasks or Here(), chunks, Document, gone)
    made = context.output.commit(stage="keep", step="keep", revision=1, config={}, inputs={}, counts=counts)
    return made, told


@pytest.mark.parametrize("each", [1, 3, 10])
def test_rows_stay_in_their_order_and_those_that_go_say_why(tmp_path, each):
    made, told = written(tmp_path, GONE, each=each)
    assert list(made.records(Document)) == [row for number, row in enumerate(ROWS) if number not in WHY]
    lost = list(made.records(Rejection, "rejected"))
    assert [(json.loads(one.row)["uri"], one.stage, one.reason, one.evidence) for one in lost] == [
        (f"{number}.md", "keep", *said) for number, said in WHY.items()
    ]
    assert made.manifest.counts == Counts(read=10, kept=7, rejected={"long": 1, "odd": 2})
    assert told[-1] == (10, 10, "rows")


def test_pieces_hold_what_one_file_holds(tmp_path, ray_cluster):
    whole, _ = written(tmp_path / "whole", GONE)
    pieces, _ = written(tmp_path / "pieces", GONE, each=4)
    elsewhere, _ = written(tmp_path / "elsewhere", GONE, each=4, tasks=OnCluster(1))
    assert whole.fingerprint == pieces.fingerprint == elsewhere.fingerprint
    assert (len(whole.table_files()), len(pieces.table_files())) == (1, 3)
    assert [p.read_bytes() for p in pieces.table_files()] == [p.read_bytes() for p in elsewhere.table_files()]


def test_all_rows_or_none_may_go(tmp_path):
    every, _ = written(tmp_path / "every", removals(**{str(n): ("odd", "so") for n in range(10)}), each=4)
    assert list(every.records(Document)) == []
    assert every.manifest.counts == Counts(read=10, kept=0, rejected={"odd": 10})
    none, _ = written(tmp_path / "none", removals(), each=4)
    assert list(none.records(Document)) == ROWS
    assert list(none.records(Rejection, "rejected")) == []


def test_a_table_without_rows_is_written_too(tmp_path):
    made, _ = written(tmp_path, removals(), rows=[])
    assert list(made.records(Document)) == []
    assert made.manifest.counts == Counts()


def test_rows_are_numbered_from_where_another_table_ended(tmp_path):
    """As behind a corpus that was deduplicated before."""
    made, told = written(tmp_path, removals(**{"105": ("odd", "five")}), each=4, first=100)
    assert [json.loads(one.row)["uri"] for one in made.records(Rejection, "rejected")] == ["5.md"]
    assert made.manifest.counts.read == 10
    assert [done for done, *_ in told] == [4, 8, 10]


def test_equal_rows_are_told_apart_by_their_number(tmp_path):
    made, _ = written(tmp_path, removals(**{"1": ("odd", "again")}), rows=[ROWS[5], ROWS[5], ROWS[5]])
    assert list(made.records(Document)) == [ROWS[5], ROWS[5]]


def test_removals_of_several_workers_are_put_in_order():
    assert in_order(removals(**{"9": WHY[9]}), removals(), removals(**{"2": WHY[2], "3": WHY[3]})).equals(GONE)
