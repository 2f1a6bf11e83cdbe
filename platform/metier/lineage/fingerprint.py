"""Digests of values, files and folders. What has no canonical form is refused, never guessed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def _check(value: Any, where: str) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{where}: {value} has no canonical form")
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where}: key {key!r} is not text")
            _check(item, f"{where}.{key}")
        return
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check(item, f"{where}[{i}]")
        return
    raise TypeError(f"{where}: {type(value).__name__} has no canonical form")


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces. Raises TypeError for what has none (NaN, sets, paths)."""
    _check(value, "value")
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """128-bit hexadecimal digest of a JSON-able value."""
    return hashlib.blake2b(canonical_json(value).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """128-bit hexadecimal digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def tree_digest(folder: Path, files: Iterable[Path] | None = None) -> str:
    """Digest of a folder: the relative names and bytes of its files, wherever the folder lies."""
    listed = sorted(files if files is not None else (p for p in folder.rglob("*") if p.is_file()))
    return digest({p.relative_to(folder).as_posix(): file_digest(p) for p in listed})


def rows_total(ids: Iterable[str]) -> int:
    """A sum over a table's record ids, such that the totals of its parts add up to that of the whole."""
    return sum(int.from_bytes(hashlib.blake2b(one.encode(), digest_size=32).digest(), "big") for one in ids)


def rows_digest(total: int) -> str:
    """Digest of a table from its total. The order of rows and their parts do not matter; how often an id occurs does."""
    return f"{total % (1 << 256):064x}"[:32]
