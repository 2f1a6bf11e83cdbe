"""Runs the training loop on Ray Train: one worker a device, restarted from the newest checkpoint when one dies.

Ray Data streams the steps to the workers; what the first worker tells comes back through an actor beside the driver.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from metier import errors
from metier.config import TrainResources
from metier.errors import StepError
from metier.training import card
from metier.training.course import Point, StepReport
from metier.training.feed import Feed, tables_of
from metier.training.worker import RESULT, TRAIN, VALIDATION, has_failed, reached

RESTARTS = 2  # of the worker group without a checkpoint between: what fails thrice at one place fails always
POLL_SECONDS = 0.5
MESSAGE_CHARACTERS = 500
STEPS_AHEAD = 4  # that a worker holds beside the one that it computes
Told = StepReport | Point


def train_in(folder: Path, resources: TrainResources, hear: Callable[[Told], None]) -> dict[str, Any]:
    """Trains the job that lies in `folder`, which all workers must see. Gives the result. Raises what the loop refused.

    `hear` is called, in a thread of this process, with each step and each checkpoint; a resumed training tells what is new.
    """
    from ray.train import TrainingFailedError

    (folder / RESULT).unlink(missing_ok=True)
    with _hearing(hear) as mailbox:
        while not has_failed(folder):
            begun_at = reached(folder)
            try:
                _trainer(folder, resources, mailbox).fit()
                break
            except TrainingFailedError as error:
                if reached(folder) == begun_at and not has_failed(folder):
                    raise StepError(f"training failed ({RESTARTS} restarts did not help), {_reason(error)}") from error
    if not (folder / RESULT).exists():
        raise StepError(f"training ended without a result (workers' logs: {folder / 'ray'})")
    result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    if "error" in result:
        raise getattr(errors, result["error"])(result["text"])
    return result


def _trainer(folder: Path, resources: TrainResources, mailbox: Any) -> Any:
    import ray.data
    from ray.train import DataConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    # Each worker reads all steps and computes its share of each: that is little to read, and no number of workers is built
    # into the data. They are put into the cluster's object store here, as a task that reads them would wait for ever for a
    # CPU where training has them all.
    steps = ray.data.from_blocks(list(tables_of(folder / TRAIN)))
    in_order = ray.data.ExecutionOptions(preserve_order=True)
    per_worker: dict[str, float] = {"CPU": resources.cpus} | ({"GPU": resources.gpus} if resources.gpus else {})
    fewest = resources.min_workers or resources.workers
    return TorchTrainer(
        _one_worker,
        train_loop_config={"folder": str(folder), "mailbox": mailbox, "gpus": resources.gpus},
        torch_config=TorchConfig(backend="nccl" if resources.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=resources.workers if fewest == resources.workers else (fewest, resources.workers),
            use_gpu=bool(resources.gpus),
            resources_per_worker=per_worker,
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=RESTARTS),
            # a worker's GPU is touched before its own code begins
            worker_runtime_env={"env_vars": card.allocation()} if resources.gpus else None,
        ),
        datasets={"train": steps},
        dataset_config=DataConfig(datasets_to_split=[], execution_options=in_order),
    )


@contextlib.contextmanager
def _hearing(hear: Callable[[Told], None]) -> Iterator[Any]:
    """A mailbox for the first worker, which is emptied into `hear` until the block ends."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    faults: list[BaseException] = []
    mailbox = ray.remote(num_cpus=0, scheduling_strategy=here)(_Mailbox).remote()  # it falls with the driver alone
    finished = threading.Event()

    def empty() -> None:
        for told in ray.get(mailbox.take.remote()):
            hear(told)

    def follow() -> None:
        try:
            while not finished.wait(POLL_SECONDS):
                empty()
        except BaseException as fault:  # raised below, where the caller sees it
            faults.append(fault)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield mailbox
    finally:
        finished.set()
        follower.join()
    if faults:
        raise faults[0]
    empty()
    ray.kill(mailbox)


class _Mailbox:
    """What was told and not taken yet."""

    def __init__(self) -> None:
        self._waiting: list[Told] = []

    def put(self, told: Told) -> None:
        self._waiting.append(told)

    def take(self) -> list[Told]:
        taken, self._waiting = self._waiting, []
        return taken


def _reason(error: Exception) -> str:
    """The first worker's own exception in one line; Ray's message is a cut traceback."""
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    for rank, failure in sorted(failures.items()):
        text = " ".join(str(failure).split())[:MESSAGE_CHARACTERS]
        return f"worker {rank} with {type(failure).__name__}: {text}"
    return " ".join(str(error).split())[:MESSAGE_CHARACTERS]


def _one_worker(config: dict[str, Any]) -> None:
    import os

    import ray.train
    import torch
    from ray.train.torch import get_device

    from metier.training.worker import work

    context = ray.train.get_context()
    # Ray gives a worker one thread for each logical CPU it asked for; the machine's real cores are what there is.
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // context.get_local_world_size()))
    if 0 < config["gpus"] < 1:  # the rest of the device is another worker's: a fit to the card sees this share alone
        torch.cuda.set_per_process_memory_fraction(config["gpus"])
    folder = Path(config["folder"])
    steps = ray.train.get_dataset_shard("train")
    feed = Feed(
        train=lambda: iter(steps.iter_batches(batch_size=STEPS_AHEAD, batch_format="pyarrow")),
        held_out=lambda: tables_of(folder / VALIDATION),  # read again at each checkpoint: too little to be streamed
    )
    mailbox = config["mailbox"]
    work(
        folder,
        _peers(context.get_world_rank(), context.get_world_size()),
        str(get_device()),
        feed,
        tell=lambda told: mailbox.put.remote(told),
    )


def _peers(rank: int, world: int) -> Any:
    import torch.distributed as distributed

    from metier.training.engine import Peers

    if world == 1:
        return Peers()
    return Peers(rank, world, distributed.all_reduce, lambda t: distributed.all_reduce(t, distributed.ReduceOp.MIN))
