"""An artifact is an immutable folder with a manifest. `Writer` makes one; `Artifact` reads what one lists."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from metier.errors import InputError, StepError
from metier.lineage.fingerprint import digest, file_digest, rows_digest
from metier.lineage.manifest import MANIFEST, Counts, FileEntry, Manifest, flush
from metier.records import Record

R = TypeVar("R", bound=Record)
WORK = "work"  # scratch that outlives a kill (training checkpoints), removed when the artifact is complete
RECEIPT = "receipt"


class Shard(NamedTuple):
    """A table, or a part of one (`kept.parquet/00000.parquet`), as it was written."""

    path: str  # within the artifact
    rows: int
    total: int  # `rows_total` of its record ids


class Artifact:
    """A finished artifact. Raises InputError where the folder's manifest.json is not one that Metier writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        except ValidationError:
            raise InputError(
                f"{folder}: its {MANIFEST} does not describe an output of this version of Metier"
            ) from None

    @property
    def fingerprint(self) -> str:
        """The digest of its content, which enters the keys of the steps that read it."""
        return self.manifest.content

    @property
    def location(self) -> str:
        """Its folder."""
        return str(self.folder)

    def table_files(self, table: str = "kept") -> list[Path]:
        """The Parquet files of a table, in order."""
        name = f"{table}.parquet"
        files = [self.folder / f.path for f in self.manifest.files if f.path == name or f.path.startswith(name + "/")]
        if not files:
            raise StepError(f"{self.folder} has no table {table!r}")
        return files

    def records(self, kind: type[R], table: str = "kept") -> Iterator[R]:
        """Streams a table's records."""
        from metier.lineage.shards import read_table

        return read_table(kind, self.table_files(table))

    def path(self, name: str) -> Path:
        """A file or folder inside the artifact."""
        return self.folder / name

    def json(self, name: str) -> Any:
        """A JSON file inside the artifact, parsed."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def receipts(self) -> list[dict[str, Any]]:
        """What each attempt ran on and how long it took, oldest first."""
        found = sorted(self.folder.glob(f"{RECEIPT}-*.json"))
        return [json.loads(p.read_text(encoding="utf-8")) for p in found]


class Writer:
    """Writes an artifact's files into its folder. Nothing counts until `commit` wrote the manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards: dict[str, Shard] = {}
        self._content: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.iterdir():  # of an attempt that was killed
            if leftover.name == WORK or leftover.name.startswith(RECEIPT):
                continue
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()

    def table(self, name: str, kind: type[R], records: Iterable[R]) -> int:
        """Streams records into the table `name` (`kept`, `rejected`, ...); gives the number of rows."""
        from metier.lineage.shards import write_table

        rows, total = write_table(self.folder / f"{name}.parquet", kind, records)
        self.add(Shard(f"{name}.parquet", rows, total))
        return rows

    def add(self, shard: Shard) -> None:
        """Takes in a table, or a part of one, that a worker wrote into the folder (`metier.lineage.shards.write_shard`)."""
        self._shards[shard.path] = shard

    def json(self, name: str, value: Any) -> None:
        """Writes a JSON file."""
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
        (self.folder / name).write_text(text + "\n", encoding="utf-8")

    def path(self, name: str) -> Path:
        """Where to write a file of one's own; its folder exists."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def work(self) -> Path:
        """Scratch that the next attempt finds again after a kill."""
        path = self.folder / WORK
        path.mkdir(exist_ok=True)
        return path

    def content(self, name: str, content_digest: str) -> None:
        """Says what the file or folder `name` holds, where its bytes differ from build to build (an index)."""
        self._content[name] = content_digest

    def _entries(self) -> list[FileEntry]:
        entries = []
        tables = {name.split("/")[0] for name in self._shards}
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            name = path.relative_to(self.folder).as_posix()
            if name.split("/")[0] == WORK or name.startswith(RECEIPT):
                continue
            if name.split("/")[0] in tables and name not in self._shards:  # of a worker whose attempt was given up
                path.unlink()
                continue
            rows = self._shards[name].rows if name in self._shards else None
            flush(path)
            entries.append(FileEntry(path=name, bytes=path.stat().st_size, digest=file_digest(path), rows=rows))
        return entries

    def commit(self, *, stage: str, step: str, revision: int, config: dict[str, Any], inputs: dict[str, str],
               counts: Counts) -> Artifact:  # fmt: skip
        """Writes the manifest, removes the scratch, and gives the artifact. Raises StepError where a shard is not there."""
        missing = next((name for name in sorted(self._shards) if not (self.folder / name).is_file()), "")
        if missing:
            raise StepError(
                f"{step}: {missing} was written by a worker and is not in {self.folder}: the store must be a folder that all "
                "nodes share"
            )
        entries = self._entries()
        content = dict(self._content)
        totals: dict[str, int] = {}
        for entry in entries:
            declared = any(entry.path == name or entry.path.startswith(name + "/") for name in self._content)
            if entry.path in self._shards:
                table = entry.path.split("/")[0]  # a table in parts holds what it would hold in one
                totals[table] = totals.get(table, 0) + self._shards[entry.path].total
            elif not declared:
                content[entry.path] = entry.digest
        content |= {table: rows_digest(total) for table, total in totals.items()}
        manifest = Manifest(stage=stage, step=step, revision=revision, config=config, inputs=inputs, counts=counts,
                            files=tuple(entries), content=digest(content))  # fmt: skip
        manifest.write(self.folder)
        shutil.rmtree(
            self.folder / WORK, ignore_errors=True
        )  # not before: it is all that a killed attempt goes on from
        return Artifact(self.folder)
