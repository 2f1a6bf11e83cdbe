"""What orchestration costs: a training job through Ray Train, and the same steps in a bare loop in one process.

    python -m benchmarks.training.orchestration --model llama-8b --output orchestration.json

Orchestrated is what the train stage does: Ray Train starts the worker, Ray Data streams the steps to it, each step is
reported, and at each checkpoint validation loss is taken and the state is saved. No exam is sat. Bare is a loop of
forward, backward, clipping and optimiser over the same packs, held in a list. Both compute the same tokens with the same
recipe and fit, each in a process of its own, one after the other, several times.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.machine import described

WARM = 6
HELD_OUT = 24  # examples of the validation set
PACKAGES = ("torch", "triton", "transformers", "peft", "bitsandbytes", "ray", "pyarrow")
LOOK_SECONDS = 0.01  # how often reports are fetched: times are as exact as that


def bare(model: Path, method: str, examples: int, checkpoints: int) -> dict[str, Any]:
    """The steps and nothing else."""
    begun = time.perf_counter()
    from benchmarks.training.ours import METHODS, longest_in
    from metier.training.gradient import Pieces, Share, arithmetic, backward
    from metier.training.preparation import prepared

    device = _device()
    recipe, schedule = _job(examples, checkpoints, device)
    engine, fit = prepared(str(model), METHODS[method], recipe, device, longest_in(schedule))
    pieces = Pieces(
        fit.piece_tokens if fit else recipe.batch_tokens,
        0,
        device,
        arithmetic("auto", device),
        recipe.packs_rows(device),
    )
    engine.model.train()
    marks, tokens = [], []
    for packs in schedule.steps():
        loss = backward(engine, packs, Share.of(packs, pieces, engine), pieces)
        engine.step(recipe.learning_rate, recipe.max_grad_norm)
        float(loss)  # waits for the device
        marks.append(time.perf_counter())
        tokens.append(sum(len(e.ids) for pack in packs for e in pack.examples))
    return _figures(begun, marks, tokens, marks[-1])


def orchestrated(model: Path, method: str, examples: int, checkpoints: int) -> dict[str, Any]:
    """The same through Ray Train."""
    begun = time.perf_counter()
    from benchmarks.training.ours import METHODS, longest_in
    from metier.config import TrainResources
    from metier.execution import training
    from metier.execution.session import local_ray
    from metier.training import worker
    from metier.training.course import Point, StepReport

    device = _device()
    recipe, schedule = _job(examples, checkpoints, device)
    training.POLL_SECONDS = LOOK_SECONDS
    marks: list[float] = []
    tokens: list[int] = []
    points: list[Point] = []

    def hear(told: StepReport | Point) -> None:
        if isinstance(told, Point):
            points.append(told)
        else:
            marks.append(time.perf_counter())
            tokens.append(told.tokens)

    with tempfile.TemporaryDirectory() as work, local_ray():
        folder = Path(work)
        job = worker.Job(
            base=str(model.absolute()),
            recipe=recipe.model_dump(),
            method=METHODS[method].model_dump(),
            identity={},
            checkpoints=str(folder / "checkpoints"),
            dev_max_tokens=1,
            steps=[len(epoch) for epoch in schedule.epochs],
            longest=longest_in(schedule),
        )
        worker.write_job(folder, job, schedule, ())
        training.train_in(folder, TrainResources(workers=1, cpus=1, gpus=float(device != "cpu")), hear)
        saved = sum(f.stat().st_size for f in (folder / "checkpoints").rglob("*") if f.is_file())
        ended = time.perf_counter()
    return _figures(begun, marks, tokens, ended) | {"checkpoints": len(points), "saved_mb": round(saved / 1e6)}


def _device() -> str:
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def _job(examples: int, checkpoints: int, device: str) -> tuple[Any, Any]:
    from benchmarks.training.corpus import token_lists
    from benchmarks.training.ours import RECIPE
    from metier.training.encoding import Example
    from metier.training.feed import scheduled
    from metier.training.recipe import Recipe

    recipe = Recipe(**(RECIPE | {"checkpoints_per_epoch": checkpoints, "packing": "rows"}))
    rows = [Example(ids, ids) for ids in token_lists(examples + HELD_OUT)]
    return recipe, scheduled(rows[HELD_OUT:], rows[:HELD_OUT], recipe, rows=recipe.packs_rows(device))


def _figures(begun: float, marks: list[float], tokens: list[int], ended: float) -> dict[str, Any]:
    """`marks`: when each step ended, `tokens`: of each. Training counts after WARM steps, all else is start or end."""
    training = marks[-1] - marks[WARM - 1]
    steps = [after - before for before, after in pairwise(marks[WARM - 1 :])]
    return {
        "tokens_per_second": round(sum(tokens[WARM:]) / training, 1),
        "median_step_seconds": round(statistics.median(steps), 4),
        "start_seconds": round(marks[WARM - 1] - begun, 2),
        "training_seconds": round(training, 2),
        "end_seconds": round(ended - marks[-1], 2),
        "steps": len(marks),
    }


KINDS = {"bare": bare, "orchestrated": orchestrated}


def summary(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The means of each kind, and what orchestration takes of the bare loop's speed."""
    mean = {
        kind: statistics.mean(line["tokens_per_second"] for line in lines if line["kind"] == kind) for kind in KINDS
    }
    return {"mean": mean, "cost_percent": round(100 * (1 - mean["orchestrated"] / mean["bare"]), 2)}


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, required=True, help="the model's folder (python -m benchmarks.training makes it)"
    )
    parser.add_argument("--method", default="qlora", choices=("lora", "qlora", "full"))
    parser.add_argument("--examples", type=int, default=2600, help="about 450 tokens each")
    parser.add_argument("--checkpoints", type=int, default=2, help="of the run")
    parser.add_argument("--rounds", type=int, default=2, help="of bare and orchestrated in turn")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(KINDS[given.one](given.model, given.method, given.examples, given.checkpoints)))
        return
    lines: list[dict[str, Any]] = []
    for kind in list(KINDS) * given.rounds:
        command = [sys.executable, "-m", "benchmarks.training.orchestration", *sys.argv[1:], "--one", kind]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}
        )
        lines.append({"kind": kind, **json.loads(done.stdout.splitlines()[-1])})
        print(lines[-1], file=sys.stderr, flush=True)
        if given.output:
            given.output.write_text(json.dumps({"machine": described(PACKAGES), "lines": lines}, indent=1) + "\n")
    print(json.dumps(summary(lines)))


if __name__ == "__main__":
    main()
