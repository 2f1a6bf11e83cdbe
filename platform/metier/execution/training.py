"""Runs the training loop on Ray Train: one worker a device, restarted from the newest checkpoint when one dies."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from metier import errors
from metier.config import Resources
from metier.errors import StepError
from metier.execution.step import Progress
from metier.training.worker import PROGRESS, RESULT

RESTARTS = 2  # of the worker group; what fails thrice fails always
POLL_SECONDS = 0.5
MESSAGE_CHARACTERS = 500


def train_in(folder: Path, resources: Resources, progress: Progress) -> dict[str, Any]:
    """Trains the job that lies in `folder`, which all workers must see. Gives the result. Raises what the loop refused."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    (folder / RESULT).unlink(missing_ok=True)
    (folder / PROGRESS).unlink(missing_ok=True)
    per_worker: dict[str, float] = {"CPU": resources.cpus} | ({"GPU": resources.gpus} if resources.gpus else {})
    trainer = TorchTrainer(
        _one_worker,
        train_loop_config={"folder": str(folder)},
        torch_config=TorchConfig(backend="nccl" if resources.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=resources.workers, use_gpu=bool(resources.gpus), resources_per_worker=per_worker
        ),
        run_config=RunConfig(
            name="train", storage_path=str(folder / "ray"), failure_config=FailureConfig(max_failures=RESTARTS)
        ),
    )
    finished = threading.Event()
    watcher = threading.Thread(target=_follow, args=(folder / PROGRESS, progress, finished), daemon=True)
    watcher.start()
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise StepError(f"training failed ({RESTARTS} restarts did not help), {_reason(error)}") from error
    finally:
        finished.set()
        watcher.join()
    if not (folder / RESULT).exists():
        raise StepError(f"training ended without a result (workers' logs: {folder / 'ray'})")
    result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    if "error" in result:
        raise getattr(errors, result["error"])(result["text"])
    return result


def _reason(error: Exception) -> str:
    """The first worker's own exception in one line; Ray's message is a cut traceback."""
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    for rank, failure in sorted(failures.items()):
        text = " ".join(str(failure).split())[:MESSAGE_CHARACTERS]
        return f"worker {rank} with {type(failure).__name__}: {text}"
    return " ".join(str(error).split())[:MESSAGE_CHARACTERS]


def _follow(path: Path, progress: Progress, finished: threading.Event) -> None:
    """Passes on what the first worker wrote last, until training ended."""
    said = ""
    while not finished.wait(POLL_SECONDS):
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if lines and lines[-1] != said:
            said = lines[-1]
            try:
                progress(*json.loads(said))
            except json.JSONDecodeError:  # half a line: the rest is there at the next look
                said = ""


def _one_worker(config: dict[str, Any]) -> None:
    import os

    import ray.train
    import torch
    import torch.distributed as distributed
    from ray.train.torch import get_device

    from metier.training.gradient import Peers
    from metier.training.worker import work

    context = ray.train.get_context()
    world = context.get_world_size()
    # Ray gives a worker one thread for each logical CPU it asked for; the machine's real cores are what there is.
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // context.get_local_world_size()))
    peers = Peers(context.get_world_rank(), world, distributed.all_reduce) if world > 1 else Peers()
    work(Path(config["folder"]), peers, str(get_device()))
