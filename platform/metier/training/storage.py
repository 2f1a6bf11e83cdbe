"""Where checkpoints are kept: a folder here, or one in an object store (s3://, gs://). A file appears whole or not at all.

Object stores are reached through pyarrow, with the credentials that it finds in the environment.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from metier.errors import MachineError

WRITING = ".writing-"  # begins the folder of files that are not whole yet
TRIAL = "trial"


class Storage:
    """A folder with files whose names may hold slashes."""

    def __init__(self, place: str) -> None:
        """`place`: a path or a URL; the folder is made when the first file is written."""
        from pyarrow import fs

        self.place = place
        with self._explained("can't be reached"):
            self._files, self._root = fs.FileSystem.from_uri(place if "://" in place else str(Path(place).absolute()))
        self._local = isinstance(self._files, fs.LocalFileSystem)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A local folder for files that are then `put`."""
        if self._local:
            with self._explained("can't be written to"):
                Path(self._root).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=WRITING, dir=self._root if self._local else None) as folder:
            yield Path(folder)

    def refuse_unwritable(self) -> None:
        """Writes and removes a small file. Raises MachineError."""
        with self.scratch() as scratch:
            (scratch / TRIAL).touch()
            self.put(TRIAL, scratch / TRIAL)
        self.remove(TRIAL)

    def sweep(self) -> None:
        """Removes what a killed process was writing. For when nobody writes."""
        for folder in Path(self._root).glob(WRITING + "*") if self._local else ():
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, name: str, file: Path) -> None:
        """Takes a file out of `scratch`, over one of the same name. Raises MachineError where it can't be stored."""
        from pyarrow import fs

        with self._explained("can't be written to"):
            if self._local:
                final = Path(self._path(name))
                final.parent.mkdir(parents=True, exist_ok=True)
                file.replace(final)
                return
            fs.copy_files(  # an object is there when it is whole
                str(file),
                self._path(name),
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=self._files,
            )

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Tells in one line of what the disk or the object store refuses."""
        try:
            yield
        except OSError as error:
            raise MachineError(f"{self.place}: {what} ({_first_line(error)})") from error

    def get(self, name: str) -> Path:
        """A local file with the bytes: the file itself, or a copy that the caller removes with `release`."""
        from pyarrow import fs

        if self._local:
            return Path(self._path(name))
        with tempfile.NamedTemporaryFile(delete=False, suffix="-" + PurePosixPath(name).name) as copy:
            pass
        fs.copy_files(
            self._path(name), copy.name, source_filesystem=self._files, destination_filesystem=fs.LocalFileSystem()
        )
        return Path(copy.name)

    def release(self, file: Path) -> None:
        """Removes what `get` copied."""
        if not self._local:
            file.unlink()

    def names(self) -> set[str]:
        """All files that are whole. Raises MachineError where the store can't be read."""
        from pyarrow import fs

        selector = fs.FileSelector(self._root, recursive=True, allow_not_found=True)
        with self._explained("can't be read"):
            found = self._files.get_file_info(selector)
        names = (i.path.removeprefix(self._root).lstrip("/") for i in found if i.type == fs.FileType.File)
        return {name for name in names if not name.startswith(WRITING)}

    def text(self, name: str) -> str:
        """A small file's text."""
        with self._explained("can't be read"), self._files.open_input_stream(self._path(name)) as stream:
            return str(stream.read().decode("utf-8"))

    def remove(self, name: str) -> None:
        """Removes a file."""
        with self._explained("can't be written to"):
            self._files.delete_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
