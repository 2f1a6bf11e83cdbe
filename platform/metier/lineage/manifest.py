"""The manifest: what an artifact is, what it was made from and what it holds. No time, host or path stands in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from metier.lineage.fingerprint import digest

MANIFEST = "manifest.json"


class FileEntry(BaseModel):
    """One file of an artifact; `rows` is None for what is not a table."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    bytes: int
    digest: str
    rows: int | None = None


class Counts(BaseModel):
    """The funnel of a step: rows read, kept, and rejected by reason. Where rows are conserved they add up."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    read: int = 0
    kept: int = 0
    rejected: dict[str, int] = {}

    @property
    def balanced(self) -> bool:
        """True when every row that went in came out."""
        return self.read == self.kept + sum(self.rejected.values())


class Manifest(BaseModel):
    """Everything a reader needs to trust an artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1] = 1  # another one is not read: its fields may mean something else
    stage: str
    step: str
    revision: int
    config: dict[str, Any]
    inputs: dict[str, str]
    counts: Counts
    files: tuple[FileEntry, ...]
    content: str

    def write(self, folder: Path) -> None:
        """Writes `manifest.json` atomically; from then on the artifact exists."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
        temporary = folder / (MANIFEST + ".tmp")
        temporary.write_text(text + "\n", encoding="utf-8")
        flush(temporary)
        temporary.replace(folder / MANIFEST)
        flush(folder)


def flush(path: Path) -> None:
    """Puts a file or a folder's entries onto the disk, so that a power cut can't take them back."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def step_key(step: str, revision: int, config: dict[str, Any], inputs: dict[str, str]) -> str:
    """The key under which a step's artifact lies: the same work has the same key everywhere."""
    return digest({"step": step, "revision": revision, "config": config, "inputs": inputs})


def config_changes(path: str, before: Any, now: Any) -> Iterator[str]:
    """What differs between two configs, a line each: `deduplicate.threshold 0.8 -> 0.75`."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(set(before) | set(now)):
            if before.get(key) != now.get(key):
                yield from config_changes(f"{path}.{key}", before.get(key), now.get(key))
    elif before != now:
        yield f"{path} {_short(before)} -> {_short(now)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
