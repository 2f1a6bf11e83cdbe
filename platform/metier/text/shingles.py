"""Texts to sets of word shingles, as hashes, straight from the bytes that Arrow holds.

One pass over a row's bytes folds them, cuts words and hashes each; a shingle is the hash of a run of words. No Python
object is made for a row. The hashes are fast, not cryptographic: who wants two texts to collide can make them do so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from metier.text.folding import folded, table
from metier.text.kernels import collect, overlap, size_for


@dataclass(frozen=True)
class Texts:
    """Rows of UTF-8 text as Arrow holds them: all bytes, and where each row begins."""

    data: np.ndarray  # uint8
    offsets: np.ndarray  # int64, shape (rows + 1,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def text(self, row: int) -> str:
        """One row as Python's text."""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes().decode("utf-8", "replace")


def texts_of(column: pa.Array | pa.ChunkedArray) -> Texts:
    """An Arrow column of strings; its bytes are not copied where it is in one piece. Empty values are empty texts."""
    array = column
    if isinstance(column, pa.ChunkedArray):
        array = column.chunk(0) if column.num_chunks == 1 else column.cast(pa.large_string()).combine_chunks()
    array = array.fill_null("") if array.null_count else array
    _, offsets, data = array.buffers()
    wide = pa.types.is_large_string(array.type)
    starts = np.frombuffer(offsets or bytes(8), dtype=np.int64 if wide else np.int32)
    return Texts(
        np.frombuffer(data or b"", dtype=np.uint8),
        starts[array.offset : array.offset + len(array) + 1].astype(np.int64),
    )


def folding(texts: Texts, rows: np.ndarray) -> Texts:
    """Those rows, folded by Python."""
    return texts_of(pa.array([folded(texts.text(row)) for row in rows], pa.large_string()))


@dataclass(frozen=True)
class Sets:
    """For each row its distinct shingle hashes, `values[starts[i]:ends[i]]` in no order, and 128 bits of its words and marks."""

    values: np.ndarray  # uint64
    starts: np.ndarray  # int64, shape (rows,)
    ends: np.ndarray
    exact: np.ndarray  # uint64, shape (rows, 2)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.starts[row] : self.ends[row]]

    @classmethod
    def of(cls, parts: Sequence[Sets]) -> Sets:
        """Several as one, row after row."""
        before = np.cumsum([0, *(len(part.values) for part in parts)])[:-1]
        return cls(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.starts + at for part, at in zip(parts, before, strict=True)]),
            np.concatenate([part.ends + at for part, at in zip(parts, before, strict=True)]),
            np.concatenate([part.exact for part in parts]),
        )


def shingle_sets(texts: Texts, width: int, *, trusted: bool = False) -> Sets:
    """The shingles of `width` words of every row; a shorter text is one shingle. `trusted`: all is folded."""
    rows = len(texts)
    values = np.empty(int(texts.offsets[-1] - texts.offsets[0]) // 2 + 2 * rows, np.uint64)
    starts, ends, exact = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty((rows, 2), np.uint64)
    filled = collect(texts.data, texts.offsets, table(), trusted, width, values, starts, ends, exact)
    found = Sets(values[:filled].copy(), starts, ends, exact)
    slow = np.flatnonzero(ends < 0)
    if len(slow):
        more = shingle_sets(folding(texts, slow), width, trusted=True)
        starts[slow], ends[slow], exact[slow] = more.starts + filled, more.ends + filled, more.exact
        found = Sets(np.concatenate([found.values, more.values]), starts, ends, exact)
    return found


def shingles(text: str, width: int) -> np.ndarray:
    """The distinct shingles of one text. uint64, shape (n,), at least one."""
    return shingle_sets(texts_of(pa.array([text], pa.large_string())), width)[0]


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Shared over all shingles of two sets, in [0, 1]."""
    return float(overlap(one, other, slots_for(len(one))))


def slots_for(most: int) -> np.ndarray:
    """Room for `overlap` with sets of up to `most` shingles."""
    return np.empty(size_for(most), np.uint64)
