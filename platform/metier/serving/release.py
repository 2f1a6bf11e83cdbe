"""A release: which model, index and embedder answer together, and how. Its parts are named relative to the store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.errors import InputError
from metier.retrieval.embedding import EmbedderSource
from metier.serving.registry import production

OUTPUT = "release.json"


@dataclass(frozen=True)
class Release:
    """A release, opened: `key` is its place in the store (register/<key>), the folders are absolute."""

    key: str
    name: str
    format: str  # none, w4a16, w8a8
    model: Path
    index: Path
    embedder: str
    passages: int  # put into each prompt, as many as the exam put there
    max_model_len: int  # prompt and answer together, in tokens
    max_tokens: int  # longest answer, in tokens

    @property
    def max_answer_tokens(self) -> int:
        """The longest answer that a request may ask for."""
        return self.max_model_len // 2


def open_release(store: Path, key: str) -> Release:
    """The release at `key` in the store. Raises InputError when it, or a part of it, is not there (any more)."""
    path = store / key / OUTPUT
    if not path.exists():
        raise InputError(f"store {store}: there is no release {key}")
    said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    release = Release(
        key=key,
        name=said["name"],
        format=said["format"],
        model=(store / said["model"]).absolute(),
        index=(store / said["index"]).absolute(),
        embedder=said["embedder"],
        passages=said["passages"],
        max_model_len=said["max_model_len"],
        max_tokens=said["max_tokens"],
    )
    for part in (release.model, release.index):
        if not part.is_dir():
            raise InputError(f"release {key} needs {part}, which is gone: run the experiment again")
    found = EmbedderSource(release.embedder).fingerprint
    if found != said["contents"]["embedder"]:
        raise InputError(
            f"release {key}: its index was made with the embedder {said['contents']['embedder']}, here is {found}: "
            "install that one, or run the experiment again"
        )
    return release


def production_release(store: Path, name: str = "") -> Release:
    """The release in production. Raises InputError when nothing is registered."""
    return open_release(store, production(store, name).release)
