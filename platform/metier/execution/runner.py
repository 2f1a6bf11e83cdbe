"""Runs a plan. A step's artifact exists when its manifest is written, so a kill anywhere loses one step at most."""

from __future__ import annotations

import errno
import re
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from metier.errors import MachineError, MetierError, StepError
from metier.execution.plan import Decision, fingerprints_of, key_of, make_plan
from metier.execution.step import Context, Source, Step
from metier.lineage.artifact import Artifact, Writer
from metier.lineage.receipt import write_receipt
from metier.lineage.store import Store


class Watcher(Protocol):
    """Whoever shows a run as it goes."""

    def started(self, step: Step) -> None:
        """A step begins."""

    def progress(self, step: Step, done: int, total: int, what: str) -> None:
        """A step is so far; total 0 where it is not known."""

    def finished(self, step: Step, artifact: Artifact, seconds: float, reused: bool) -> None:
        """A step's artifact is there."""


class Silent:
    """Shows nothing."""

    def started(self, step: Step) -> None:
        """See Watcher."""

    def progress(self, step: Step, done: int, total: int, what: str) -> None:
        """See Watcher."""

    def finished(self, step: Step, artifact: Artifact, seconds: float, reused: bool) -> None:
        """See Watcher."""


def run_step(step: Step, store: Store) -> Artifact:
    """The artifact of one step, made with all that it needs, or found: the way for a notebook, which has Ray started."""
    return run_plan(make_plan([step], store), store, Silent())[step.name]


def run_plan(
    decisions: Sequence[Decision],
    store: Store,
    watcher: Watcher,
    session: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> dict[str, Artifact]:
    """Carries out the decisions in order; gives every step's artifact by name.

    `session` (Ray) is entered before the first step that has to run, and not at all when every step is reused.
    """
    made = {d.step.name: d.artifact for d in decisions if d.artifact}
    for decision in decisions:
        if decision.artifact:
            watcher.finished(decision.step, decision.artifact, 0.0, True)
    waiting = [d.step for d in decisions if not d.artifact]
    if not waiting:
        return made
    with session():
        for step in waiting:
            made[step.name] = _make(step, made, store, watcher)
    return made


def _make(step: Step, made: dict[str, Artifact], store: Store, watcher: Watcher) -> Artifact:
    fingerprints = fingerprints_of(step, made)
    if fingerprints is None:
        raise StepError(f"{step.name}: an input was not made before it")
    key = key_of(step, fingerprints)
    found = store.find(step.name, key)
    if found:
        watcher.finished(step, found, 0.0, True)
        return found
    with store.writing(step.name, key) as place:
        if isinstance(place, Artifact):  # another run made it since
            watcher.finished(step, place, 0.0, True)
            return place
        inputs = {n: made[s.name] if isinstance(s, Step) else s for n, s in step.inputs.items()}
        started = time.time()
        watcher.started(step)
        artifact = execute(step, inputs, fingerprints, place, watcher)
        watcher.finished(step, artifact, time.time() - started, False)
        return artifact


def execute(
    step: Step,
    inputs: dict[str, Artifact | Source],
    fingerprints: dict[str, str],
    writer: Writer,
    watcher: Watcher,
) -> Artifact:
    """Runs one step into a folder: files, receipt, manifest, in that order. Raises a MetierError for every failure."""
    started = time.time()

    def progress(done: int, total: int, what: str) -> None:
        watcher.progress(step, done, total, what)

    context = Context(
        step=step.name,
        config=step.config,
        resources=step.resources,
        inputs=inputs,
        output=writer,
        stage=step.stage,
        progress=progress,
    )
    try:
        counts = step.stage.run(context)
        if step.stage.conserves and not counts.balanced:
            raise StepError(
                f"{step.name} lost rows: read {counts.read}, kept {counts.kept}, rejected {counts.rejected}"
            )
        write_receipt(writer.folder, started=started, resources=step.resources.model_dump())
        return writer.commit(
            stage=step.stage.name,
            step=step.name,
            revision=step.stage.revision,
            config=step.config.identity(),
            inputs=fingerprints,
            counts=counts,
        )
    except Exception as error:
        raise _explained(step, error, writer) from error


def _explained(step: Step, error: Exception, writer: Writer) -> MetierError:
    """The failure as one line: our own errors as they are, a full disk by name, all others with their log."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MetierError):
            return cause
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return MachineError(
                f"{step.name}: no space is left on the disk of {writer.folder}: free some and run again"
            )
        cause = getattr(cause, "cause", None) or cause.__cause__
    log = writer.folder.parent / f"{writer.folder.name}.error.log"
    log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return StepError(f"{step.name} failed: {_headline(error)} (the whole story: {log})")


def _headline(error: Exception) -> str:
    """Type and text of an error; of one that a Ray worker raised, those of the worker's own error."""
    raised = re.search(r"^(\w[\w.]*(?:Error|Exception|Interrupt)): (.*)$", str(error), re.MULTILINE)
    if type(error).__name__.startswith("Ray") and raised:
        return f"{raised[1].split('.')[-1]}: {raised[2]}"
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1]}"
