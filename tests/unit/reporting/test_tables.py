"""The tables that the command line shows."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping

import pytest
from rich.console import Console

from metier.evaluation.gate import by_candidate, compare, decide, format_verdict
from metier.lineage.manifest import Counts
from metier.records import Grade
from metier.reporting.tables import exam_table, funnel_table
from tests.fixtures.stage_alone import as_table


def printed(table, width=160):
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table)
    return out.getvalue()


def words(text):
    return " ".join(text.split())


def graded(candidate, score, number=20, slice_="numeric"):
    return [
        Grade(question_id=f"{slice_}{i}", candidate=candidate, slice=slice_, split="final", prompt="", reference="",
              answer="", correctness=score, completeness=score, format=score, score=score)
        for i in range(number)
    ]  # fmt: skip


def gate_of(rows: list[Grade], formats: Mapping[str, str]) -> dict:
    sheets = by_candidate(rows)
    found = [
        format_verdict(f, sheets[c], sheets["tuned"], keep_ratio=0.95, min_slice=10, bytes_=9)
        for f, c in formats.items()
    ]
    against = [compare(sheets["tuned"], sheets["base"], ("tuned", "base"))]
    return dataclasses.asdict(decide(against, found, tuned="tuned", require_improvement=True))


@pytest.fixture
def shown(tmp_path):
    def show(*rows, formats=None):
        """Each list of rows is one exam."""
        exams = [as_table(tmp_path / str(i), given, Grade) for i, given in enumerate(rows)]
        return printed(exam_table(exams, gate_of([g for given in rows for g in given], formats or {})))

    return show


def test_candidates_of_all_exams_stand_with_score_interval_and_slices(shown):
    tuned = [*graded("tuned", 0.75), *graded("tuned", 0.25, 5, "usage")]
    out = shown([*graded("base", 0.5), *graded("base", 0.0, 5, "usage")], tuned)
    head = next(line for line in out.splitlines() if "candidate" in line)
    assert head.index("all") < head.index("numeric") < head.index("usage")
    row = next(line for line in out.splitlines() if line.startswith("tuned"))
    _, whole, interval, numeric, usage = row.split()
    assert (whole, numeric, usage) == ("0.65", "0.75", "0.25")
    assert interval.startswith("(0.5")
    assert "factual" not in out
    questions = next(line for line in out.splitlines() if "questions" in line)
    assert questions.split() == ["questions", "25", "20", "5"]


def test_the_table_of_a_whole_exam_fits_a_terminal_of_80_columns(tmp_path):
    slices = ("numeric", "factual", "usage", "format", "unanswerable")
    rows = [g for name in ("base", "tuned", "tuned-w8a8+retrieval") for s in slices for g in graded(name, 0.5, 12, s)]
    table = exam_table([as_table(tmp_path, rows, Grade)], gate_of(rows, {}))
    lines = printed(table, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(name in lines[1] for name in slices)


def test_what_ships_and_why_is_said(shown):
    out = shown(graded("base", 0.2), graded("tuned", 0.8), graded("small", 0.8), formats={"w8a8": "small"})
    assert "gate passed: tuned beats base" in words(out)
    assert "ships w8a8 (the smallest that passed" in words(out)


def test_an_unquantised_model_is_called_so(shown):
    assert "ships unquantised (no quantised format was tried)" in words(
        shown(graded("base", 0.2), graded("tuned", 0.8))
    )


def test_a_refusal_ships_nothing(shown):
    out = shown(graded("base", 0.8), graded("tuned", 0.8))
    assert "gate REFUSED: tuned does not surely beat base" in words(out)
    assert "ships" not in out


def test_an_exam_that_one_candidate_did_not_sit_in_full_has_gaps(shown):
    extra = [*graded("small", 0.8), *graded("small", 0.8, 3, "usage")]
    out = shown(graded("base", 0.2), graded("tuned", 0.8), extra)
    row = next(line for line in out.splitlines() if line.startswith("base"))
    assert row.split()[-1] == "-"


def test_rows_are_told_with_the_most_frequent_reason_first():
    out = printed(funnel_table({
        "ingest": Counts(read=5000, kept=5000),
        "filter": Counts(read=5000, kept=3000, rejected={"outdated": 300, "ungrounded": 1700}),
    }))  # fmt: skip
    ingest, filtered = (next(line for line in out.splitlines() if step in line) for step in ("ingest", "filter"))
    assert ingest.replace("│", " ").split() == ["ingest", "5,000", "5,000"]
    assert filtered.replace("│", " ").split() == [
        "filter", "5,000", "3,000", "2,000", "ungrounded", "1,700,", "outdated", "300",
    ]  # fmt: skip


def test_names_are_not_read_as_markup():
    out = printed(funnel_table({"[red]step[/red]": Counts(read=1, kept=0, rejected={"[bold]why": 1})}))
    assert "[red]step[/red]" in out
    assert "[bold]why 1" in out
