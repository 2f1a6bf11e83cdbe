"""Older versions learn their last day, the table says by whom, and what was made from them goes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from metier.records import ApiObject, Dialogue, Document, Message, Rejection
from metier.stages import filter
from metier.stages.supersede import STAGE, Config, Superseded
from tests.fixtures.stage_alone import run_alone

BODY = (
    "A branch reports its reserve within {} days. The reserve is kept in two currencies, and an officer signs for it."
)


def page(uri: str, day: str, days: int = 3, **fields) -> Document:
    return Document(uri=uri, title="Reserve rule", text=BODY.format(days), effective=day, **fields)


def test_the_older_version_learns_its_last_day_and_the_rest_stays(tmp_path):
    old, new, bad = page("old.md", "2024-01-01", 3), page("new.md", "2025-01-01", 5), page("bad.md", "soon")
    made = run_alone(STAGE, Config(), tmp_path, documents=[old, new, bad])
    kept = {d.uri: d for d in made.records(Document)}
    assert kept["old.md"].superseded == "2025-01-01"
    assert kept["old.md"].root_id == old.id
    assert kept["new.md"].id == new.id
    (row,) = made.records(Superseded, "superseded")
    assert (row.root_id, row.by_id, row.by_uri, row.day) == (old.id, new.id, "new.md", "2025-01-01")
    assert made.manifest.counts.rejected == {"invalid_date": 1}


def test_the_day_that_an_author_wrote_stands(tmp_path):
    old = page("old.md", "2024-01-01", superseded="2024-06-30")
    made = run_alone(STAGE, Config(), tmp_path, documents=[old, page("new.md", "2025-01-01", 5)])
    assert old in made.records(Document)
    assert [row.day for row in made.records(Superseded, "superseded")] == ["2024-06-30"]


def test_days_are_compared_however_they_are_written(tmp_path):
    rows = [page("a.md", "2025-01-01"), page("b.md", "2025-01-01T09:00", 5), page("c.md", " 2026-01-01", 7)]
    made = run_alone(STAGE, Config(), tmp_path, documents=rows)
    found = {row.uri: (row.by_uri, row.day) for row in made.records(Superseded, "superseded")}
    assert found == {"a.md": ("c.md", "2026-01-01"), "b.md": ("c.md", "2026-01-01")}


def test_a_program_and_what_has_no_day_are_no_versions(tmp_path):
    api = ApiObject(name="a.f", kind="function", signature="f()", summary="It reports.")
    rows = [page("api", "2023-01-01", api=api), page("undated", ""), page("new.md", "2025-01-01", 5)]
    made = run_alone(STAGE, Config(), tmp_path, documents=rows)
    assert list(made.records(Document)) == rows
    assert list(made.records(Superseded, "superseded")) == []


def test_a_version_holds_until_the_next_one_and_stays_in_its_place(tmp_path):
    days = ("2025-01-01", "2023-01-01", "2024-01-01")
    made = run_alone(STAGE, Config(), tmp_path, documents=[page(f"{day}.md", day) for day in days])
    ends = [(d.effective, d.superseded) for d in made.records(Document)]
    assert ends == [("2025-01-01", ""), ("2023-01-01", "2024-01-01"), ("2024-01-01", "2025-01-01")]
    rows = [(row.uri, row.by_uri) for row in made.records(Superseded, "superseded")]
    assert rows == [("2023-01-01.md", "2024-01-01.md"), ("2024-01-01.md", "2025-01-01.md")]


def test_pairs_of_a_superseded_document_are_rejected_with_it(tmp_path):
    old, new = page("old.md", "2024-01-01", 3), page("new.md", "2025-01-01", 5)
    made = run_alone(STAGE, Config(), tmp_path / "documents", documents=[old, new])
    turns = (Message(role="user", content="When does a branch report?"), Message(role="assistant", content="In time."))
    pairs = [d.derive(Dialogue, messages=turns, task="x", source="production") for d in made.records(Document)]
    out = run_alone(filter.STAGE, filter.Config(), tmp_path / "pairs", dialogues=pairs, superseded=made)
    (gone,) = out.records(Rejection, "rejected")
    assert (gone.reason, gone.root_id) == ("outdated", old.id)
    assert "new.md" in gone.evidence
    assert [d.root_id for d in out.records(Dialogue)] == [new.id]


@settings(max_examples=25)  # each writes an artifact
@given(
    st.lists(
        st.builds(
            page, st.sampled_from("abc"), st.sampled_from(["", "x", "2024-01-01", "2025-01-01"]), st.integers(1, 4)
        )
    )
)
def test_every_document_is_kept_or_rejected(documents):
    with tempfile.TemporaryDirectory() as folder:
        made = run_alone(STAGE, Config(), Path(folder), documents=documents)
        out = [*made.records(Document), *made.records(Rejection, "rejected")]
    assert sorted(o.root_id for o in out) == sorted(d.root_id for d in documents)
