"""Reads chat logs into dialogues: OpenAI's messages, ShareGPT, Alpaca and ChatML, from JSONL and Parquet, a row a dialogue.

A row that is no dialogue is rejected with a reason, and so is a file that can't be read; the run goes on.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from metier.config import StageConfig, is_url
from metier.errors import InputError, StepError
from metier.execution.dataflow import map_items
from metier.execution.step import Context, Input, Stage
from metier.lineage.fingerprint import digest
from metier.lineage.folder import Entry, FilesSpec, file_or_entries, opened
from metier.lineage.lines import MEGABYTE, lines_in, parts_of
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Record, Rejection, Split, rejection
from metier.stages.split import drawn
from metier.text.chat_formats import ChatFormat, UnreadableChat, messages_in
from metier.text.words import wording

NAME = "import_dialogues"
SUFFIXES = {".jsonl", ".parquet"}
SEED = 0  # deals dialogues into training and validation
MOST_SHOWN = 2000  # characters of a row that is too large


class Config(StageConfig):
    """How rows are read, and what they are taken for."""

    format: Literal["auto", ChatFormat] = "auto"
    """openai (column messages), sharegpt (conversations), alpaca (instruction, output), chatml (text); auto: by the columns."""
    task: str = Field("conversation", pattern=r"^[a-z][a-z0-9_]*$", max_length=60)
    """The task framing that these dialogues count as; `blend` balances tasks."""
    max_row_mb: float = Field(1, gt=0, le=100)
    """Larger rows are rejected."""
    dev_fraction: float = Field(0.05, ge=0, le=0.5)
    """Share held out for the validation loss. Dialogues that open with the same question are held out together."""


class LogSpec(FilesSpec):
    """A folder of chat logs, or one file of them."""

    def files(self) -> list[Entry]:
        """The files, sorted. Raises InputError when there is no log among them."""
        found = file_or_entries(self.folder, self.glob)
        if not any(_suffix(entry.name) in SUFFIXES for entry in found):
            raise InputError(f"logs {self.folder}: no {' or '.join(sorted(SUFFIXES))} file there")
        return found

    @property
    def fingerprint(self) -> str:
        """Digest of the names and of what the files hold that are read."""
        return digest({e.name: e.fingerprint if _suffix(e.name) in SUFFIXES else "" for e in self.files()})


@dataclasses.dataclass(frozen=True)
class ChatLogs:
    """All chat logs that are read."""

    specs: tuple[LogSpec, ...]

    @property
    def location(self) -> str:
        """The folders, for people."""
        return ", ".join(spec.where for spec in self.specs)

    def check(self) -> None:
        """Refuses a place without logs; its fingerprint, which every plan needs, looks for that."""
        _ = self.fingerprint

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of what the logs hold. Raises InputError for a place without any."""
        return digest([spec.fingerprint for spec in self.specs])

    def files(self) -> list[Entry]:
        """All files. Raises InputError for a place without a log."""
        return [entry for spec in self.specs for entry in spec.files()]


def logs_at(word: str) -> ChatLogs:
    """Logs from a word on the command line: a file, a folder or a URL."""
    try:
        return ChatLogs((LogSpec(folder=word),))
    except ValidationError as error:
        raise InputError(f"--input logs: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Record):
    """A part of a file: bytes of JSONL, or row groups of Parquet. Never written anywhere, for it knows places."""

    uri: str
    place: str
    start: int = 0
    stop: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogRow(Record):
    """What was rejected: a row as text and where it stands, or a whole file."""

    uri: str
    at: str = ""  # "byte 120" of JSONL, "row 7" of Parquet
    text: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A row as it was found; `fault` where it could not even be read."""

    at: str
    text: str
    value: Any = None
    fault: UnreadableChat | None = None


def slices_of(entry: Entry) -> list[Slice]:
    """The parts of a file that are read at once; a file that is no log is one part, whose reader will say why."""
    parts = [(0, 0)]
    try:
        if _suffix(entry.name) == ".jsonl":
            parts = parts_of(entry.place)
        elif _suffix(entry.name) == ".parquet":
            with opened(entry.place) as file:
                parts = [(group, group + 1) for group in range(pq.ParquetFile(file).num_row_groups)] or parts
    except pa.ArrowException:
        pass
    except OSError as error:
        if is_url(entry.place):
            raise _unreachable(entry.name, error) from None
    return [Slice(uri=entry.name, place=entry.place, start=start, stop=stop) for start, stop in parts]


def _unreachable(name: str, error: OSError) -> StepError:
    """An object may be there the next time, and must not be lost."""
    return StepError(f"{NAME}: {name} can't be read ({str(error).splitlines()[0]}): run again")


def operator(config: Config) -> Callable[[list[Slice]], Iterator[Dialogue | Rejection]]:
    """Reads the rows of each part of a file."""

    def apply(parts: list[Slice]) -> Iterator[Dialogue | Rejection]:
        for part in parts:
            try:
                for row in _rows(part, int(config.max_row_mb * MEGABYTE)):
                    yield _dialogue(row, part.uri, config)
            except UnreadableChat as fault:
                yield rejection(LogRow(uri=part.uri), NAME, fault.reason, fault.evidence)

    return apply


def _dialogue(row: Row, uri: str, config: Config) -> Dialogue | Rejection:
    try:
        if row.fault:
            raise row.fault
        messages = messages_in(row.value, None if config.format == "auto" else config.format)
    except UnreadableChat as fault:
        return rejection(LogRow(uri=uri, at=row.at, text=row.text), NAME, fault.reason, f"{row.at}: {fault.evidence}")
    opening = next(message.content for message in messages if message.role == "user")
    split: Split = "dev" if drawn(" ".join(wording(opening)), SEED) < config.dev_fraction else "train"
    return Dialogue(messages=messages, task=config.task, source="production", split=split)


def _rows(part: Slice, most: int) -> Iterator[Row]:
    """The rows of a part. Raises UnreadableChat for a file that is no log, StepError for an object that can't be had."""
    suffix = _suffix(part.uri)
    if suffix not in SUFFIXES:
        raise UnreadableChat("unsupported_format", f"{suffix or 'no ending'}; read are {', '.join(sorted(SUFFIXES))}")
    try:
        yield from _parquet_rows(part, most) if suffix == ".parquet" else _json_rows(part, most)
    except UnreadableChat:
        raise
    except (pa.ArrowException, ValueError, OverflowError) as error:  # of Arrow's values Python has not all
        raise UnreadableChat("corrupt", f"no readable Parquet file ({str(error).splitlines()[0]})") from None
    except OSError as error:
        if is_url(part.place):
            raise _unreachable(part.uri, error) from None
        raise UnreadableChat("unreadable", error.strerror or str(error).splitlines()[0]) from None


def _json_rows(part: Slice, most: int) -> Iterator[Row]:
    empty = part.start == 0
    for at, line in lines_in(part.place, part.start, part.stop, most):
        empty = False
        if line.strip():
            yield _json_row(line, f"byte {at}", most)
    if empty:
        raise UnreadableChat("empty", "0 bytes")


def _json_row(line: bytes, at: str, most: int) -> Row:
    shown = line.decode("utf-8", "replace")
    if len(line) > most:  # by how much is not known: its end was not read
        return Row(at, shown[:MOST_SHOWN], fault=UnreadableChat("too_large", f"more than {most / MEGABYTE:g} MB"))
    try:
        return Row(at, shown, json.loads(line.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        return Row(at, shown, fault=UnreadableChat("encoding", f"not UTF-8 ({error.reason})"))
    except (ValueError, RecursionError) as error:
        return Row(at, shown, fault=UnreadableChat("not_json", str(error)))


def _parquet_rows(part: Slice, most: int) -> Iterator[Row]:
    with opened(part.place) as file:
        table = pq.ParquetFile(file)
        if not table.metadata.num_rows:
            raise UnreadableChat("empty", "a table without rows")
        number = sum(table.metadata.row_group(i).num_rows for i in range(part.start))
        for batch in table.iter_batches(batch_size=1024, row_groups=list(range(part.start, part.stop))):
            for value in batch.to_pylist():
                number += 1
                text = json.dumps(value, ensure_ascii=False, default=str)
                large = UnreadableChat("too_large", f"{len(text) / MEGABYTE:.1f} MB") if len(text) > most else None
                yield Row(f"row {number}", text[:MOST_SHOWN] if large else text, value, large)


def run(context: Context[Config]) -> Counts:
    """Reads all logs. Raises InputError when no dialogue is in them."""
    logs = context.inputs["logs"]
    if not isinstance(logs, ChatLogs):
        raise InputError(f"{context.step}: logs {logs.location}: give a file or folder of JSONL or Parquet")
    parts = [part for entry in logs.files() for part in slices_of(entry)]
    counts = map_items(context, parts, operator(context.config), Dialogue, most=1)
    reasons = ", ".join(f"{reason} {n}" for reason, n in counts.rejected.items())
    if not counts.kept:
        raise InputError(f"logs {logs.location}: no dialogue in them ({reasons or 'no row found'})")
    # how many rows there are is known when they are read: each gives one dialogue or one rejection, and a part may have none
    return counts.model_copy(update={"read": counts.kept + sum(counts.rejected.values())})


STAGE = Stage(
    name=NAME,
    revision=2,
    summary="Reads chat logs (OpenAI messages, ShareGPT, Alpaca, ChatML) into dialogues.",
    config=Config,
    inputs={"logs": Input("a .jsonl or .parquet file, or a folder or s3://, gs:// URL of them", opens=logs_at)},
    outputs={"kept": Dialogue, "rejected": Rejection},
    run=run,
    conserves=True,
)
