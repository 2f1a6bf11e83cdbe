"""A folder of files, on this machine or in an object store (s3://, gs://): which files it holds, and each one's bytes.

Object stores are read through pyarrow, with the credentials that it finds in the environment; no URL may carry any.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, field_validator

from metier.config import StageConfig, expanded, is_url, refuse_credentials
from metier.errors import InputError, MissingError
from metier.lineage.fingerprint import file_digest


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One file: its name in the folder, where its bytes are, and what the listing says of them."""

    name: str
    place: str  # absolute path or URL: knows a machine, so it enters no key
    state: str = ""  # of an object: its size and when it was written

    @property
    def fingerprint(self) -> str:
        """Digest of the bytes; of an object its size and time, for a plan would else fetch a whole bucket.

        An object can't change and keep its time (whole seconds in some stores). One that was written anew with the same
        bytes is read again, and the steps behind that one see the same rows and are reused.
        """
        return self.state or file_digest(Path(self.place))


class FilesSpec(StageConfig):
    """Files in a folder, at any depth, as an experiment names them. Hidden ones are passed over."""

    folder: str = Field(min_length=1)
    """The folder; in an experiment file, relative to that file. Or s3://BUCKET/PATH, gs://BUCKET/PATH: credentials are what
    pyarrow finds in the environment."""
    glob: str = "**/*"
    """Which files in it."""

    @field_validator("folder")
    @classmethod
    def _no_secret(cls, value: str) -> str:
        return refuse_credentials(value)

    def anchored(self, base: Path) -> Self:
        """With its path seen from `base`; a URL is the same from everywhere."""
        return self if is_url(self.folder) else self.model_copy(update={"folder": str(base / expanded(self.folder))})

    @property
    def where(self) -> str:
        """Its name for people."""
        return self.folder


def entries(folder: str, glob: str = "**/*") -> list[Entry]:
    """The files that `glob` picks, sorted by name; hidden ones are passed over. Raises InputError for what can't be listed."""
    listed = _objects(folder, glob) if is_url(folder) else _local(folder, glob)
    found = [entry for entry in listed if not any(part.startswith(".") for part in entry.name.split("/"))]
    for entry in found:
        if not entry.name.isprintable():
            raise InputError(f"folder {folder}: rename {entry.name!r}: its name is not plain UTF-8")
    return sorted(found, key=lambda entry: PurePosixPath(entry.name))


def _local(folder: str, glob: str) -> Iterator[Entry]:
    root = expanded(folder)
    if not root.is_dir():
        raise MissingError(f"folder {folder}: there is no such folder")
    try:
        for path in root.glob(glob):
            if path.is_file():
                yield Entry(path.relative_to(root).as_posix(), str(path.absolute()))
    except (ValueError, NotImplementedError) as error:
        raise InputError(f"folder {folder}: glob {glob!r} can't be used ({error})") from None


def file_or_entries(place: str, glob: str = "**/*") -> list[Entry]:
    """The one file at a path or URL, or those files of the folder there that `glob` picks."""
    if is_url(place):
        with _explained(place):
            store, path = _store(place)
            info = store.get_file_info(path)
        return [_object(place, info)] if info.is_file else entries(place, glob)
    local = expanded(place)
    return [Entry(local.name, str(local.absolute()))] if local.is_file() else entries(place, glob)


def _objects(folder: str, glob: str) -> Iterator[Entry]:
    from pyarrow.fs import FileSelector

    parts = tuple(glob.split("/"))
    if not all(parts) or any("**" in part and part != "**" for part in parts):
        raise InputError(f"folder {folder}: glob {glob!r} can't be used")
    with _explained(folder):
        store, root = _store(folder)
        listed = store.get_file_info(FileSelector(root, recursive=True))
    for info in listed:
        name = PurePosixPath(info.path).relative_to(root).as_posix()
        if info.is_file and _picked(tuple(name.split("/")), parts):
            yield _object(folder, info, name)


def _object(url: str, info: Any, name: str = "") -> Entry:
    """What a listing says of an object; `url` is of its bucket."""
    place = urlsplit(url)._replace(path=quote("/" + info.path.partition("/")[2])).geturl()
    return Entry(name or info.base_name, place, f"{info.size} bytes of {info.mtime_ns}")


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """What pyarrow and the store say, as one line."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise InputError(f"folder {url}: there is no such folder") from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"folder {url}: can't be listed ({str(error).splitlines()[0]})") from None


def _picked(names: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Whether the parts of a glob match the parts of a path; `**` stands for any number of folders."""
    if not parts or not names:
        return not names and all(part == "**" for part in parts)
    if parts[0] == "**":
        return _picked(names, parts[1:]) or _picked(names[1:], parts)
    return fnmatchcase(names[0], parts[0]) and _picked(names[1:], parts[1:])


def _store(place: str) -> tuple[Any, str]:
    """pyarrow's file system for a URL, and the path in it."""
    url = urlsplit(place)
    store, bucket = _bucket(url._replace(path="").geturl())
    return store, bucket + unquote(url.path).rstrip("/")


@functools.lru_cache(maxsize=64)
def _bucket(url: str) -> tuple[Any, str]:
    """One client a bucket: making it takes longer than reading a small file."""
    from pyarrow.fs import FileSystem

    return FileSystem.from_uri(url)


def opened(place: str) -> BinaryIO:
    """The file at a path or URL, open for reading. Raises OSError."""
    if not is_url(place):
        return open(place, "rb")
    store, path = _store(place)
    return store.open_input_file(path)


def size_of(file: BinaryIO) -> int:
    """The bytes of an open file, which stands at its beginning again."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size
