"""The log of served answers, from which answers are traced and feedback becomes training data. It never holds the key.

One JSON object a line, one file a day under `<store>/answers/`. Replicas append whole lines under a lock, so lines
never mix; a line that a crash cut short is skipped by readers and closed off by the next writer.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = "answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One served answer. `turns` are the earlier (question, answer) pairs; `release` is its place in the store."""

    id: str
    time: str  # ISO 8601, UTC
    question: str
    answer: str
    passage_ids: tuple[str, ...]
    release: str
    finish_reason: str = ""  # stop, length, or aborted when the reader went away
    turns: tuple[tuple[str, str], ...] = ()


def new_id() -> str:
    """A fresh answer id."""
    return f"answer-{secrets.token_hex(12)}"


def now() -> str:
    """The time as it stands in the log."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def append(store: Path, answer: Answer) -> None:
    """Writes the answer's line to the file of its day. The files hold what users asked: only their owner reads them."""
    folder = store / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    line = json.dumps(dataclasses.asdict(answer), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    handle = os.open(folder / f"{answer.time[:10]}.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":
                line = b"\n" + line
        written = 0
        while written < len(line):
            written += file.write(line[written:])


def logged(store: Path) -> Iterator[Answer]:
    """All answers, the newest day first, in each day from the last."""
    for path in sorted((store / FOLDER).glob("*.jsonl"), reverse=True):
        for line in reversed(path.read_text(encoding="utf-8", errors="replace").split("\n")):
            answer = _answer(line)
            if answer is not None:
                yield answer


def _answer(line: str) -> Answer | None:
    """The answer that a line holds; None for one that a crash cut short, or that is none of ours."""
    try:
        row = json.loads(line)
        turns = tuple((str(asked), str(answered)) for asked, answered in row.pop("turns"))
        ids = tuple(map(str, row.pop("passage_ids")))
        return Answer(**{name: str(value) for name, value in row.items()}, passage_ids=ids, turns=turns)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def find(store: Path, answer_id: str) -> Answer | None:
    """The answer with this id, or None."""
    return next((one for one in logged(store) if one.id == answer_id), None)
