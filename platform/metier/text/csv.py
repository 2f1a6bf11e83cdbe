"""CSV as Markdown: each row a paragraph of `header: value` lines, which says what it is about wherever the table is cut."""

from __future__ import annotations

import csv
import io

from metier.text.sections import as_prose
from metier.text.unreadable import UnreadableDocument

DELIMITERS = ",;\t|"


def csv_to_markdown(source: str) -> tuple[str, dict[str, str]]:
    """The rows under the first one, which names the columns; empty cells are left out.

    Raises UnreadableDocument for a quotation without an end, a cell that is too long, or more cells than columns.
    """
    text = source.lstrip("\ufeff\r\n ")
    first = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)  # a comma where none is there: a table of one column
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        rows = [(reader.line_num, [" ".join(cell.split()) for cell in row]) for row in reader]
    except csv.Error as error:
        raise UnreadableDocument("corrupt", f"line {reader.line_num}: no readable CSV ({error})") from None
    if not rows:
        return "", {}
    names = [name or f"column {number}" for number, name in enumerate(rows[0][1], 1)]
    for line, row in rows[1:]:
        if any(row[len(names) :]):
            raise UnreadableDocument("corrupt", f"line {line}: {len(row)} cells under {len(names)} columns")
    blocks = (
        "\n".join(f"{name}: {cell}" for name, cell in zip(names, row, strict=False) if cell) for _, row in rows[1:]
    )
    return "\n\n".join(as_prose(block) for block in blocks if block), {}
