"""What a run looks like while it goes: a bar on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from metier.execution.plan import Decision
from metier.execution.runner import Watcher
from metier.execution.step import Step
from metier.lineage.artifact import Artifact
from metier.training.fit import Fit
from metier.training.forecast import Forecast

WORDED = ("verdict.json", "merge.json")  # of an output, what a step has to say of it, under `text`
SECRET = re.compile(r"(:/+)([^\s/@:]*:[^\s@]*|[^\s/@]+)@")  # what a URL names before its host
JOINERS = "\u200c\u200d"  # invisible, and part of how some languages are written
COLOURS = {"reuse": "green", "run": "yellow", "run if changed": "cyan"}


def harmless(text: str) -> str:
    """A text on one line that steers no terminal and shows no password of a URL, whatever came into it."""
    line = SECRET.sub(r"\1***@", " ".join(text.split()))
    return "".join(c if c.isprintable() or c in JOINERS else repr(c)[1:-1] for c in line)


def plan_table(decisions: Sequence[Decision]) -> Table:
    """The plan as a table: step, decision, reason."""
    table = Table(title="Plan", title_justify="left", header_style="bold")
    table.add_column("step", no_wrap=True)
    table.add_column("decision", no_wrap=True)
    table.add_column("why")
    for decision in decisions:
        action = f"[{COLOURS[decision.action]}]{decision.action.upper()}[/]"
        table.add_row(decision.step.name, action, escape(harmless(decision.reason)))
    return table


def forecast_table(told: Forecast) -> Table:
    """What training will need, line by line."""
    table = Table.grid(padding=(0, 2))
    table.title, table.title_justify, table.title_style = "Training", "left", "italic"
    table.add_column(no_wrap=True)
    table.add_column()
    for name, text in _told(told):
        table.add_row(name, escape(text))
    return table


def _told(told: Forecast) -> Iterator[tuple[str, str]]:
    size = f", {told.weights / 1e9:.1f} billion weights" if told.weights else ""
    fetched = f", to be fetched first ({told.fetched_bytes / 1e9:.0f} GB)" if told.fetched_bytes else ""
    yield "base", told.base + size + fetched
    yield "method", told.method + (f", {told.trained / 1e6:,.0f} million weights are trained" if told.trained else "")
    card = f" of {told.card_bytes / 1e9:g} GB" if told.card_bytes else ""
    workers = f"{told.workers} workers, a GPU{card} each" if told.workers > 1 else f"one GPU{card}"
    yield "engine", f"{told.engine} on {workers}" + (", offloading to the hosts" if told.offload else "")
    if told.fit is None:
        yield "memory", f"not predicted: {told.unknown}"
        return
    yield "rows", f"of up to {told.fit.piece_tokens:,} tokens"
    yield "checkpointing", f"{told.fit.checkpointing}: {told.fit.recomputed} of {told.fit.layers} layers computed twice"
    yield "optimiser", told.fit.optimiser + ("" if told.fit.dense else "; 4-bit weights stay packed")
    yield "peak memory", _peak(told.fit, told.card_bytes)
    if told.least:
        yield f"  on {told.least.workers} workers", _peak(told.least, told.card_bytes)
    if told.fit.host_bytes:
        most = max(fit.host_bytes for fit in (told.fit, told.least) if fit)
        when = " while it loads" if told.method == "qlora" else ""
        yield "host memory", f"up to {most / 1e9:.0f} GB a worker{when}, predicted"


def _peak(fit: Fit, card_bytes: int) -> str:
    return f"{fit.predicted_bytes / 2**30:.1f} of {card_bytes / 2**30:.1f} GiB, predicted"


def _outcome(artifact: Artifact) -> str:
    counts = artifact.manifest.counts
    rejected = sum(counts.rejected.values())
    text = f"{counts.kept:,} kept" if counts.kept or counts.read else ""
    return text + (f", {rejected:,} rejected" if rejected else "")


def words_of(artifact: Artifact) -> str:
    """What the step says of its output in words; empty for most."""
    found = (artifact.json(f.path) for f in artifact.manifest.files if f.path in WORDED)
    return " ".join(told["text"] for told in found if "text" in told)


class PlainWatcher:
    """A line when a step begins, at most one every ten seconds while it goes, and one when it ends."""

    def __init__(self, console: Console) -> None:
        self._console, self._last = console, 0.0

    def started(self, step: Step) -> None:
        """Says which step begins."""
        self._console.print(f"  {step.name} ...", highlight=False)
        self._last = time.monotonic()

    def progress(self, step: Step, done: int, total: int, what: str) -> None:
        """Says how far it is, now and then."""
        if time.monotonic() - self._last >= 10:
            self._last = time.monotonic()
            self._console.print(f"    {step.name}: {done:,}{f' of {total:,}' if total else ''} {what}", highlight=False)

    def finished(self, step: Step, artifact: Artifact, seconds: float, reused: bool) -> None:
        """Says what came out."""
        took = "reused" if reused else f"{seconds:6.1f} s"
        self._console.print(f"✓ {step.name:<20} {took:>9}  {_outcome(artifact)}", highlight=False)
        if said := words_of(artifact):
            self._console.print(Padding(Text(said), (0, 0, 0, 4), expand=False))


class LiveWatcher(PlainWatcher):
    """The same on a terminal, with a bar for the running step."""

    def __init__(self, console: Console, progress: Progress) -> None:
        super().__init__(console)
        self._progress: Progress = progress
        self._task: TaskID | None = None

    def started(self, step: Step) -> None:
        """Opens the step's bar."""
        self._task = self._progress.add_task(step.name, total=None, what="")

    def progress(self, step: Step, done: int, total: int, what: str) -> None:
        """Moves the bar."""
        if self._task is not None:
            text = f"{done:,}{f' of {total:,}' if total else ''} {what}"
            self._progress.update(self._task, completed=done, total=total or None, what=text)

    def finished(self, step: Step, artifact: Artifact, seconds: float, reused: bool) -> None:
        """Closes the bar and says what came out."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        super().finished(step, artifact, seconds, reused)


class JsonWatcher:
    """One JSON object a line on the given stream, for scripts."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def _say(self, **event: object) -> None:
        print(json.dumps(event), file=self._stream, flush=True)

    def started(self, step: Step) -> None:
        """A `started` event."""
        self._say(event="started", step=step.name)

    def progress(self, step: Step, done: int, total: int, what: str) -> None:
        """A `progress` event."""
        self._say(event="progress", step=step.name, done=done, total=total, what=what)

    def finished(self, step: Step, artifact: Artifact, seconds: float, reused: bool) -> None:
        """A `finished` event with the counts, the folder, and what the step has to say."""
        counts, said = artifact.manifest.counts.model_dump(), words_of(artifact)
        self._say(event="finished", step=step.name, reused=reused, seconds=round(seconds, 2), counts=counts,
                  folder=str(artifact.folder), **({"said": said} if said else {}))  # fmt: skip


@contextmanager
def watching(as_json: bool) -> Iterator[Watcher]:
    """The watcher that fits where the output goes."""
    console, stdout = Console(stderr=as_json), sys.stdout
    if as_json:
        with redirect_stdout(sys.stderr):  # libraries print what they like; what scripts read holds the events alone
            yield JsonWatcher(stdout)
    elif not sys.stdout.isatty():
        yield PlainWatcher(console)
    else:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[what]}"))
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
            yield LiveWatcher(console, progress)
