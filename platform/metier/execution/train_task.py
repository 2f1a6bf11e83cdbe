"""A training as the train stage and each trial of a search ask for it: from examples to the result, in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.config import TrainResources
from metier.execution.training import Told, train_in
from metier.lineage.fingerprint import canonical_json
from metier.training import checkpoints, worker
from metier.training.dev_exam import DevQuestion
from metier.training.encoding import Example
from metier.training.feed import Schedule, scheduled
from metier.training.model import AnyMethod
from metier.training.recipe import Recipe
from metier.training.sharding import sharding_of
from metier.training.storage import Storage

CHECKPOINTS = "checkpoints"
UNSHARED = "unshared"  # a file that says that this model can't share beginnings


@dataclass(frozen=True)
class Task:
    """What is trained, how, on what, and by what it is watched."""

    base: str  # a folder
    fingerprint: str  # of the base
    method: AnyMethod
    recipe: Recipe
    train: Sequence[Example]
    held_out: Sequence[Example]
    questions: Sequence[DevQuestion]
    dev_max_tokens: int  # of an answer

    def identity(self, schedule: Schedule) -> dict[str, str]:
        """What makes this training itself: a checkpoint of another is refused."""
        return {
            "base model": self.fingerprint,
            "method": canonical_json(self.method.identity()),
            "recipe": canonical_json(self.recipe.identity()),
            "training set": schedule.digest,
        }


def trained(task: Task, on: TrainResources, folder: Path, hear: Callable[[Told], None]) -> dict[str, Any]:
    """The result of training in `folder`, which all workers must see. Goes on from the newest checkpoint of this very task.

    `hear` is called with each step and each checkpoint. A model that can't share beginnings says so when it has been loaded,
    and is trained without. Raises InputError for checkpoints of another task, and what training refuses.
    """
    unshared = folder / UNSHARED
    result = _attempt(task, on, folder, hear, shares=not unshared.exists())
    if not result.get("shares", True):
        unshared.touch()  # known to an attempt that goes on after this one
        result = _attempt(task, on, folder, hear, shares=False)
    return result


def _attempt(
    task: Task, on: TrainResources, folder: Path, hear: Callable[[Told], None], shares: bool
) -> dict[str, Any]:
    rows = task.recipe.packs_rows("cuda" if on.gpus else "cpu")
    schedule = scheduled(task.train, task.held_out, task.recipe, rows, shares)
    job = worker.Job(
        base=task.base,
        recipe=task.recipe.identity(),
        method=task.method.identity(),
        identity=task.identity(schedule),
        checkpoints=on.anchored(Path.cwd()).checkpoints or str(folder / CHECKPOINTS),
        dev_max_tokens=task.dev_max_tokens,
        steps=[len(epoch) for epoch in schedule.epochs],
        longest=schedule.longest,
        engine=sharding_of(on.engine, task.method, on.workers, on.offload, task.recipe.optimiser).engine,
        offload=on.offload,
    )
    storage = Storage(job.checkpoints)
    state = checkpoints.own(storage, job.identity)  # refuses those of another training before a device is used
    worker.going_on(task.recipe, state, job.engine, storage.place)
    storage.refuse_unwritable()
    storage.sweep()
    worker.write_job(folder, job, schedule, task.questions)
    return train_in(folder, on, hear)
