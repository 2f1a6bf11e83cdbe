"""Sources: what comes from outside the store. Their fingerprint is what they hold, never where they lie."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from metier.config import expanded
from metier.errors import InputError
from metier.lineage.fingerprint import file_digest, tree_digest


@dataclass(frozen=True)
class PathSource:
    """A file or a folder of the user's."""

    path: str

    @property
    def location(self) -> str:
        """The path."""
        return str(expanded(self.path))

    def check(self) -> None:
        """Refuses a path that is not there."""
        if not Path(self.location).exists():
            raise InputError(f"{self.path}: there is no such file or folder")

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of the file's bytes, or of the names and bytes in the folder."""
        self.check()
        path = Path(self.location)
        return tree_digest(path) if path.is_dir() else file_digest(path)


@dataclass(frozen=True)
class NamedSource:
    """Something that a name and a version identify: a model on a hub, a package."""

    location: str
    version: str = ""

    def check(self) -> None:
        """A name has nothing to be looked for."""

    @property
    def fingerprint(self) -> str:
        """Name and version."""
        return f"{self.location}@{self.version}"
