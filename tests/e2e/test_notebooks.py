"""The notebooks run from top to bottom, in a kernel of their own, and show what their sentences promise."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def shown(cell) -> str:
    """All that a cell printed or gave, as text."""
    parts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "".join(parts)


@pytest.fixture(scope="module")
def curation(tmp_path_factory) -> list[nbformat.NotebookNode]:
    """The cells of the notebook after a run in an empty folder."""
    notebook = nbformat.read(NOTEBOOKS / "curation.ipynb", as_version=4)
    place = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    return notebook.cells


def output_of(cells, source: str) -> str:
    (cell,) = [one for one in cells if one.cell_type == "code" and source in one.source]
    return shown(cell)


@pytest.mark.parametrize("file", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda file: file.stem)
def test_no_output_is_stored(file):
    """Outputs would name the machine and bury a change of a sentence; whoever opens the notebook makes them in a minute."""
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)


def test_the_planted_faults_are_rejected_each_with_its_reason(curation):
    files = output_of(curation, "lost(read, worthy)")
    assert "scan.pdf" in files
    assert "corrupt" in files
    assert "urlaub.md" in files
    assert "near_duplicate" in output_of(curation, "lost(single)")
    pairs = output_of(curation, "lost(distinct, sound)")
    for reason in ("near_duplicate", "outdated", "contradictory", "number_not_in_source"):
        assert reason in pairs
    assert "exam_copy" in output_of(curation, "lost(unseen)")


def test_nobody_is_named_any_more(curation):
    text = output_of(curation, "clean.text")
    assert "EMAIL_ADDRESS_1" in text
    assert "Keller" not in text
    assert "keller@" not in text


def test_the_right_answer_stands_and_the_wrong_ones_are_gone(curation):
    left = output_of(curation, "one.question, one.answer")
    assert "has 30 days of leave" in left
    assert not [wrong for wrong in ("25 days", "28 days", "sell", "travel expenses") if wrong in left]


def test_the_command_line_tells_the_same_story(curation):
    assert "contradictory" in output_of(curation, "data funnel")
    assert "leave.md" in output_of(curation, "data show")
    assert "decontaminate" in output_of(curation, "data why")


def test_there_is_a_picture(curation):
    (cell,) = [one for one in curation if one.cell_type == "code" and "plt.show" in one.source]
    assert any("image/png" in output.get("data", {}) for output in cell.outputs)
