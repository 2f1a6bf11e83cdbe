"""A trial in the folder of its search: a folder while it runs, in which training keeps its checkpoints; then a file.

That file is its outcome, and it stands where the folder stood, so that no dying worker can write a checkpoint there any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.records import record_id
from metier.training.course import Point
from metier.training.space import Value
from metier.training.trials import Outcome, State

POINTS = "points.jsonl"
Settings = Mapping[str, Value]


@dataclass(frozen=True)
class Place:
    """Where one trial is; `path` is a folder, a file or, before it has begun, nothing."""

    path: Path

    @classmethod
    def of(cls, settings: Settings, folder: Path) -> Place:
        """The place of the trial with these settings in the folder of a search."""
        return cls(folder / f"trial-{record_id('trial', dict(settings))[:16]}")

    @classmethod
    def all_in(cls, folder: Path) -> list[Place]:
        """The places of all trials that have begun, in no meaningful order."""
        return [cls(path) for path in sorted(folder.glob("trial-*"))]

    @property
    def ended(self) -> bool:
        """Whether there is an outcome."""
        return self.path.is_file()

    def outcome(self) -> Outcome:
        """What the trial came to. Raises OSError where it has not ended."""
        return Outcome.from_json(json.loads(self.path.read_text(encoding="utf-8")))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Waits until nobody else works on this trial: the same settings may be drawn twice."""
        with self.path.with_name(f".{self.path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def begin(self) -> tuple[list[Point], float]:
        """Makes the folder, or finds one that a kill left; gives what `told` gives."""
        self.path.mkdir(exist_ok=True)
        rows, mended = self._rows(), self.path / f"{POINTS}.partial"
        mended.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        mended.replace(self.path / POINTS)  # without the line that a kill cut short: the next one stands behind it
        return self.told()

    def note(self, point: Point, seconds: float) -> None:
        """Keeps a checkpoint's figures. `seconds`: what the trial has taken so far."""
        line = {"point": dataclasses.asdict(point), "seconds": seconds}
        with (self.path / POINTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def told(self) -> tuple[list[Point], float]:
        """What a trial that has not ended told so far, and the seconds that it took."""
        rows = self._rows()
        return [Point(**row["point"]) for row in rows], rows[-1]["seconds"] if rows else 0.0

    def _rows(self) -> list[dict[str, Any]]:
        """The lines, up to one that a kill cut short or that is being written."""
        rows, path = [], self.path / POINTS
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else ():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                break
            if not line.endswith("\n"):
                break
            rows.append(row)
        return rows

    def end(
        self,
        settings: Settings,
        state: State,
        reason: str = "",
        seconds: float | None = None,
        lasting: bool = True,
    ) -> None:
        """Puts the outcome where the folder was, checkpoints and all; does nothing where the trial has ended already."""
        if self.ended:
            return
        points, spent = self.told()
        taken = round(spent if seconds is None else seconds, 1)
        outcome = Outcome(dict(settings), state, points, taken, reason, lasting)
        written, gone = (self.path.with_name(f".{self.path.name}.{kind}") for kind in ("partial", "gone"))
        written.write_text(json.dumps(outcome.as_json()), encoding="utf-8")
        while True:
            shutil.rmtree(gone, ignore_errors=True)
            if self.path.is_dir():
                self.path.rename(gone)
            try:
                written.rename(self.path)
                break
            except IsADirectoryError:  # its worker, not dead yet, made the folder anew in this moment
                continue
        shutil.rmtree(gone, ignore_errors=True)

    def forget(self) -> None:
        """Removes the outcome: the trial will be run anew."""
        self.path.unlink()
