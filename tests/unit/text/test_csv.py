"""CSV as Markdown: rows that say what they are about."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.csv import csv_to_markdown
from metier.text.unreadable import UnreadableDocument

CELLS = st.text(st.characters(categories=("L", "N", "P")), max_size=8)


def markdown(source: str) -> str:
    return csv_to_markdown(source)[0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_row_is_a_paragraph_that_names_its_columns(delimiter):
    source = "grade,days\nA,30\nB,\n,\n".replace(",", delimiter)
    assert markdown(source) == "grade: A\ndays: 30\n\ngrade: B"


def test_quotations_hold_delimiters_and_line_ends():
    assert markdown('name,note\r\nBo,"one, and\r\n""two"""\r\n') == 'name: Bo\nnote: one, and "two"'


def test_a_column_without_a_name_has_its_number_and_no_heading_comes_out_of_a_name():
    assert markdown("# of days,\n30,paid\n") == "\\# of days: 30\ncolumn 2: paid"


@pytest.mark.parametrize("source", ["", "\n\n", "only,a,header\n", "a,b\n,\n"])
def test_a_table_without_a_row_has_no_text(source):
    assert markdown(source) == ""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('a,b\n1,"never closed\n', "line 2"),
        ("a,b\n1,2\n1,2,3\n", "line 3: 3 cells under 2 columns"),
        (f"a,b\n1,{'x' * 200_000}\n", "field larger than"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(source, said):
    with pytest.raises(UnreadableDocument, match=said) as fault:
        markdown(source)
    assert fault.value.reason == "corrupt"


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5))
def test_every_cell_that_a_writer_wrote_is_there(rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["first", "second", "third"], *rows])
    blocks = [block.split("\n") for block in markdown(file.getvalue()).split("\n\n")]
    names = ("first", "second", "third")
    expected = [[f"{n}: {cell}" for n, cell in zip(names, row, strict=True) if cell] for row in rows if any(row)]
    assert [b for b in blocks if b != [""]] == expected
