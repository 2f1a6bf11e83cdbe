"""A file of lines in parts: each can be read by itself, and every line is read with the part in which it begins."""

from __future__ import annotations

from collections.abc import Iterator

from metier.lineage.folder import opened, size_of

MEGABYTE = 1_000_000
PART = 16 * MEGABYTE  # bytes that are read at once: what a worker holds in memory


def parts_of(place: str) -> list[tuple[int, int]]:
    """Where the parts of a file begin and end, in bytes; an empty file is one part. Raises OSError."""
    with opened(place) as file:
        size = size_of(file)
    return [(start, min(start + PART, size)) for start in range(0, max(size, 1), PART)]


def lines_in(place: str, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """The lines that begin in a part, each with the byte at which it does; the last may end behind the part. Raises OSError."""
    with opened(place) as file:
        file.seek(max(start - 1, 0))
        pieces = [file.read(stop - file.tell())]
        while pieces[-1] and not pieces[-1].endswith(b"\n"):
            rest, newline, _ = file.read(MEGABYTE).partition(b"\n")
            pieces.append(rest + newline)
    data, at = b"".join(pieces), start
    if start:  # what stands before the first line's end began in the part before
        begun, _, data = data.partition(b"\n")
        at += len(begun)
    for line in data.split(b"\n") if data else ():
        yield at, line
        at += len(line) + 1


def line_number(place: str, at: int) -> int:
    """Which line, from 1, begins at a byte. Reads all that stands before it."""
    lines = 1
    with opened(place) as file:
        while at and (data := file.read(min(at, MEGABYTE))):
            lines += data.count(b"\n")
            at -= len(data)
    return lines
