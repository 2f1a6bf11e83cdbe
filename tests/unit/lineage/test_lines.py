"""Lines of a file, part by part."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from metier.lineage.lines import line_number, lines_in


@given(st.text("ab\n", max_size=40).map(str.encode), st.integers(1, 12))
def test_every_line_begins_in_one_part(data, size):
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "x")
        Path(place).write_bytes(data)
        parts = [(start, min(start + size, len(data))) for start in range(0, max(len(data), 1), size)]
        found = [(at, line) for part in parts for at, line in lines_in(place, *part) if line]
        expected, at = [], 0
        for number, line in enumerate(data.split(b"\n"), 1):
            if line:
                expected.append((at, line))
                assert line_number(place, at) == number
            at += len(line) + 1
    assert found == expected
