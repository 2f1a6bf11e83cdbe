"""Where the course of training is written while it goes on: MLflow, TensorBoard, Weights & Biases. All in the driver.

What can't be tracked is refused before training (`opened`). A tracker that fails later, by a network that is gone, is said in
one line and left: no training ends for a curve. A step that a restarted worker tells again is written once in an attempt. What
an earlier attempt wrote behind the checkpoint that training goes on from is each tracker's own to leave out: a place that
can be read is asked which step was last, and TensorBoard is told from which step on the old curve is void.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from metier.config import Sink
from metier.errors import InputError
from metier.training.course import Point, StepReport
from metier.training.meter import Meter, Pace

Numbers = dict[str, float]
NEEDS: dict[Sink, tuple[str, str]] = {"tensorboard": ("tensorboardX",) * 2, "wandb": ("wandb", "'metier[wandb]'")}
"""Packages that metier does without, and what pip is given for them; Ray Tune brings tensorboardX."""


@dataclass(frozen=True)
class Identity:
    """What a run is known by. `settings` are plain values; `tags` say which code and which inputs."""

    step: str  # its name in the experiment
    key: str  # of the artifact
    settings: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class Tracker(Protocol):
    """One place where a course is written."""

    def numbers(self, step: int, numbers: Numbers) -> None:
        """Takes in what was measured at a step; leaves out what an earlier attempt wrote."""
        ...

    def close(self, verdict: str, killed: bool = False) -> None:
        """Ends the run; an empty verdict: training failed, or was killed from outside and may be gone on with."""
        ...


class Tracking:
    """All places of one attempt at training."""

    def __init__(self, trackers: dict[Sink, Tracker], meter: Meter, warn: Callable[[str], None]) -> None:
        self._trackers, self._meter, self._warn = dict(trackers), meter, warn
        self._step = self._point = 0  # the last that was told in this attempt

    def step(self, report: StepReport) -> Pace:
        """Writes a step, and gives the pace, for who shows it."""
        pace = self._meter.read(report)
        if report.step > self._step:
            self._step = report.step
            self._each(lambda tracker: tracker.numbers(report.step, of_step(report, pace)))
        return pace

    def point(self, point: Point) -> None:
        """Writes a checkpoint."""
        if point.step > self._point:
            self._point = point.step
            self._each(lambda tracker: tracker.numbers(point.step, of_point(point)))

    def close(self, verdict: str, killed: bool = False) -> None:
        """Ends the runs with the guard's words; without any where training failed or was killed."""
        self._each(lambda tracker: tracker.close(verdict, killed))

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                tell(tracker)
            except Exception as error:  # each library has its own, and its network's
                del self._trackers[name]
                why = " ".join(str(error).split())[:200] or type(error).__name__
                self._warn(f"tracking in {name} ended, training goes on: {why}")


def opened(
    sinks: Sequence[Sink],
    folder: Path,
    identity: Identity,
    meter: Meter,
    warn: Callable[[str], None] = lambda line: print(f"metier: {line}", file=sys.stderr),
) -> Tracking:
    """The trackers of a run, in `folder`. Raises InputError where one can't be had."""
    from metier.training import trackers  # each imports its library when it is opened

    makers: dict[Sink, Callable[[Path, Identity], Tracker]] = {
        "mlflow": trackers.Mlflow,
        "tensorboard": trackers.TensorBoard,
        "wandb": trackers.Wandb,
    }
    made: dict[Sink, Tracker] = {name: makers[name](folder, identity) for name in dict.fromkeys(sinks)}
    return Tracking(made, meter, warn)


def tracking_folder(output: Path, step: str) -> Path:
    """The store of an output folder `<store>/<step>/<key>`; for an output elsewhere a folder beside it."""
    return output.parents[1] if output.parent.name == step else output.with_name(f"{output.name}.tracking")


def of_step(report: StepReport, pace: Pace) -> Numbers:
    """What is written of a step."""
    kept = {name: getattr(report, name) for name in ("loss", "learning_rate", "grad_norm")}
    return _there({f"train/{name}": value for name, value in kept.items()}) | _there(
        {f"pace/{name}": value for name, value in dataclasses.asdict(pace).items()}
    )


def of_point(point: Point) -> Numbers:
    """What is written of a checkpoint."""
    told = dataclasses.asdict(point)
    return _there({f"checkpoint/{name}": value for name, value in told.items() if name != "step"})


def _there(numbers: dict[str, float | None]) -> Numbers:
    return {name: float(value) for name, value in numbers.items() if value is not None}


def flat(settings: dict[str, Any], before: str = "") -> dict[str, str]:
    """Nested settings by dotted names, as text."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        inner = flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": str(value)}
        found |= inner
    return found


def refuse_missing(sinks: Sequence[Sink]) -> None:
    """Refuses places whose library is not installed. Imports none."""
    import importlib.util

    for sink in sinks:
        package, install = NEEDS.get(sink, ("", ""))
        if package and importlib.util.find_spec(package) is None:
            raise InputError(
                f"resources.train.track {sink}: the package {package} is not installed: pip install {install}"
            )
