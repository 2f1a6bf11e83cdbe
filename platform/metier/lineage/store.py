"""The store: `<root>/<step>/<key>/`, one folder an artifact. A folder without a manifest does not exist."""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Iterator
from pathlib import Path

from metier.config import expanded
from metier.errors import InputError
from metier.lineage.artifact import Artifact, Writer
from metier.lineage.manifest import MANIFEST

URL = re.compile(r"[A-Za-z][\w+.-]+:/")  # one slash: pathlib has made one of the two by now


class Store:
    """Artifacts on a local or mounted file system."""

    def __init__(self, root: Path | str) -> None:
        if URL.match(str(root)):
            shown = re.sub(r"(:/+).*(@|%40)", r"\1***@", str(root))  # a URL may name a key
            raise InputError(
                f"store {shown}: a local or mounted folder is needed; object stores can't hold artifacts yet"
            )
        self.root = expanded(root).absolute()
        if any(part.exists() and not part.is_dir() for part in (self.root, *self.root.parents)):
            raise InputError(f"store {root}: a file stands there or on the way: name a folder")

    def folder(self, step: str, key: str) -> Path:
        """Where the artifact of a step with this key lies or will lie."""
        return self.root / step / key

    def find(self, step: str, key: str) -> Artifact | None:
        """The finished artifact, or None."""
        folder = self.folder(step, key)
        return Artifact(folder) if (folder / MANIFEST).exists() else None

    def latest(self, step: str) -> Artifact | None:
        """The artifact of this step that was finished last, under any key."""
        manifests = (self.root / step).glob(f"*/{MANIFEST}")
        newest = max(manifests, key=lambda p: p.stat().st_mtime_ns, default=None)
        return Artifact(newest.parent) if newest else None

    def interrupted(self, step: str, key: str) -> bool:
        """True when an attempt began there and did not end."""
        folder = self.folder(step, key)
        return folder.exists() and not (folder / MANIFEST).exists()

    @contextlib.contextmanager
    def writing(self, step: str, key: str) -> Iterator[Writer | Artifact]:
        """A writer for one step, alone: a second run that wants the same step is refused until the first ends.

        What another run has finished by now is given as it is; a writer would clear its folder.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / ".locks").mkdir(exist_ok=True)
        with (self.root / ".locks" / f"{step}-{key}").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    f"{step} is being made by another run in {self.root}: wait for it, or stop it"
                ) from None
            yield self.find(step, key) or Writer(self.folder(step, key))
