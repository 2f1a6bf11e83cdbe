"""Reads documents from where they lie: folders, here or in an object store, and the documentation of installed packages.

What is no document (a broken encoding, an empty file, another format) is rejected with a reason, and the run goes on.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, ValidationError

from metier.config import StageConfig, is_url
from metier.errors import InputError, MetierError, StepError
from metier.execution.confined import Stopped, confined
from metier.execution.dataflow import map_items
from metier.execution.step import Context, Input, Stage
from metier.lineage.fingerprint import digest
from metier.lineage.folder import Entry, FilesSpec, entries, opened, size_of
from metier.lineage.manifest import Counts
from metier.records import Document, Record, Rejection, rejection
from metier.text.parsing import SUFFIXES, parse
from metier.text.unreadable import UnreadableDocument

MEGABYTE = 1_000_000


class Config(StageConfig):
    """What is too little or too much to be a document."""

    min_words: int = Field(3, ge=0, le=10_000)
    """Files with fewer words are rejected."""
    max_file_mb: float = Field(20, gt=0, le=1000)
    """Files that are larger are rejected unread, and so are those whose text is, which were packed."""
    max_word_characters: int = Field(10_000, ge=100)
    """Files with a longer run of characters between two blanks are rejected: no prose (data, a program made small), and no
    passage could hold it. A line may be of any length: it is cut at its sentences."""
    max_parse_seconds: int = Field(300, ge=1, le=86_400)
    """Files that take a parser more seconds of processor time are rejected: some are made to take it for ever."""
    max_parse_mb: int = Field(2000, ge=200, le=1_000_000)
    """Files for which a parser needs more memory are rejected. A worker reads one file at a time."""


class FolderSpec(FilesSpec):
    """A folder with documents in it."""

    prefix: str = ""
    """Put before the files' names, for two folders that hold files of the same name."""

    def files(self) -> list[Entry]:
        """The files, sorted. Raises InputError when the folder is missing or holds no document."""
        found = entries(self.folder, self.glob)
        if not any(_is_read(entry.name) for entry in found):
            wanted = ", ".join(sorted(SUFFIXES))
            raise InputError(f"folder {self.folder}: no document in it ({wanted}; glob {self.glob!r})")
        return found

    def uri(self, name: str) -> str:
        """The name of a file wherever the folder lies."""
        return f"{self.prefix.rstrip('/')}/{name}" if self.prefix else name

    @property
    def fingerprint(self) -> str:
        """Digest of the names, and of what those files hold that are read."""
        return digest({self.uri(e.name): e.fingerprint if _is_read(e.name) else "" for e in self.files()})


def _is_read(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


class PackageSpec(StageConfig):
    """The documentation of an installed Python package, read by importing it."""

    python_package: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The package, as it is imported."""
    modules: tuple[str, ...] = ()
    """Modules whose public objects are read; empty: the known ones (ray), or the package itself."""

    def anchored(self, base: Path) -> PackageSpec:
        """Itself: a package lies in no folder of the user's."""
        return self

    @property
    def where(self) -> str:
        """Its name for people."""
        return self.python_package

    @functools.cached_property
    def version(self) -> str:
        """The installed version. Raises InputError when the package is not installed."""
        names = [self.python_package, *metadata.packages_distributions().get(self.python_package, ())]
        for name in names:
            try:
                return metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        raise InputError(f"sources: python_package {self.python_package}: not installed in this environment")

    @property
    def fingerprint(self) -> str:
        """Name, version and modules: a release never changes."""
        return digest([self.python_package, self.version, list(self.modules)])


def _key_of(spec: Any) -> str | None:
    if isinstance(spec, FolderSpec | PackageSpec):
        return type(spec).__name__
    keys = spec if isinstance(spec, dict) else {}
    return "FolderSpec" if "folder" in keys else "PackageSpec" if "python_package" in keys else None


SourceSpec = Annotated[
    Annotated[FolderSpec, Tag("FolderSpec")] | Annotated[PackageSpec, Tag("PackageSpec")],
    Discriminator(
        _key_of,
        custom_error_type="source_kind",
        custom_error_message="a source is `folder: PATH` or `python_package: NAME`",
    ),
]


@dataclasses.dataclass(frozen=True)
class DocumentSources:
    """All sources of a corpus."""

    specs: tuple[FolderSpec | PackageSpec, ...]

    @property
    def location(self) -> str:
        """The folders and packages, for people."""
        return ", ".join(s.where for s in self.specs)

    def check(self) -> None:
        """Refuses a missing or empty source; its fingerprint, which every plan needs, looks for that."""
        _ = self.fingerprint

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of what the sources hold. Raises InputError for a missing or empty one."""
        return digest([s.fingerprint for s in self.specs])


def documents_at(word: str) -> DocumentSources:
    """Sources from a word on the command line: a folder, or `package:NAME` with `:MODULE,MODULE` after it if wanted."""
    if not word.startswith("package:"):
        try:
            return DocumentSources((FolderSpec(folder=word),))
        except ValidationError as error:
            raise InputError(f"--input sources: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    name, _, modules = word.removeprefix("package:").partition(":")
    if not name.isidentifier():
        raise InputError(f"--input sources={word}: give package:NAME or package:NAME:MODULE,MODULE")
    return DocumentSources((PackageSpec(python_package=name, modules=tuple(m for m in modules.split(",") if m)),))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Item(Record):
    """One unit of reading: a file, or a whole package. Never written anywhere, for it knows places."""

    uri: str
    place: str = ""
    package: str = ""
    version: str = ""
    modules: tuple[str, ...] = ()


def items_of(sources: DocumentSources) -> list[Item]:
    """What is to be read. Raises InputError when two folders hold files of the same name."""
    items: dict[str, Item] = {}
    for spec in sources.specs:
        if isinstance(spec, PackageSpec):
            name = spec.python_package
            uri = f"package:{name}:{','.join(spec.modules)}"
            found = [Item(uri=uri, package=name, version=spec.version, modules=spec.modules)]
        else:
            found = [Item(uri=spec.uri(entry.name), place=entry.place) for entry in spec.files()]
        for item in found:
            if item.uri in items:
                raise InputError(f"sources: {item.uri} is there twice; give one of the folders a `prefix`")
            items[item.uri] = item
    return list(items.values())


def operator(config: Config) -> Callable[[list[Item]], Iterator[Document | Rejection]]:
    """Reads files and packages."""

    def apply(items: list[Item]) -> Iterator[Document | Rejection]:
        from metier.text.reflection import reflect

        for item in items:
            if item.package:
                yield from reflect(item.package, item.version, item.modules)
            else:
                yield _read(item, config)

    return apply


def _read(item: Item, config: Config) -> Document | Rejection:
    stub = Document(uri=item.uri, title=item.uri, text="")
    limits = {"seconds": config.max_parse_seconds, "megabytes": config.max_parse_mb}
    try:
        # the bytes of another format are not even fetched
        data = _bytes(item, config) if _is_read(item.uri) else b""
        document = confined(parse, data, item.uri, **limits)
    except MetierError:  # an object that can't be had
        raise
    except (UnreadableDocument, Stopped) as fault:
        return rejection(stub, "ingest", fault.reason, fault.evidence)
    except Exception as error:  # out of a parser's depths, where broken bytes lead anywhere
        return rejection(stub, "ingest", "unreadable", f"{type(error).__name__}: {error}")
    if len(document.text) > config.max_file_mb * MEGABYTE:
        return rejection(stub, "ingest", "too_large", f"{len(document.text) / MEGABYTE:.1f} MB of text")
    found = document.text.split()
    longest = max(map(len, found), default=0)
    if longest > config.max_word_characters:
        return rejection(stub, "ingest", "no_prose", f"{longest} characters without a blank")
    if len(found) < config.min_words:
        return rejection(document, "ingest", "too_short", f"{len(found)} words")
    return document


def _bytes(item: Item, config: Config) -> bytes:
    """A file's bytes. An object that can't be had ends the step: it may be there the next time, and must not be lost."""
    try:
        with opened(item.place) as file:
            size = size_of(file)
            if size > config.max_file_mb * MEGABYTE:
                raise UnreadableDocument("too_large", f"{size / MEGABYTE:.1f} MB")
            return file.read()
    except OSError as error:
        if is_url(item.place):
            raise StepError(f"ingest: {item.uri} can't be read ({str(error).splitlines()[0]}): run again") from None
        raise UnreadableDocument("unreadable", error.strerror or type(error).__name__) from None


def run(context: Context[Config]) -> Counts:
    """Reads all sources. Raises InputError when nothing readable is in them."""
    sources = context.inputs["sources"]
    if not isinstance(sources, DocumentSources):
        raise InputError(f"{context.step}: sources {sources.location}: give a folder or package:NAME")
    counts = map_items(context, items_of(sources), operator(context.config), Document)
    if not counts.kept:
        reasons = ", ".join(f"{reason} {n}" for reason, n in counts.rejected.items())
        raise InputError(f"sources {sources.location}: no readable document in them ({reasons or 'nothing found'})")
    return counts


STAGE = Stage(
    name="ingest",
    revision=2,
    summary="Reads documents from folders and from the documentation of installed packages.",
    config=Config,
    inputs={
        "sources": Input(
            f"a folder or s3://, gs:// URL with {', '.join(sorted(SUFFIXES))} in it, or package:NAME",
            opens=documents_at,
        )
    },
    outputs={"kept": Document, "rejected": Rejection},
    run=run,
    conserves=True,
)
