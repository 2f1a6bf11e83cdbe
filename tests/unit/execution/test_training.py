from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from metier.config import TrainResources
from metier.errors import StepError
from metier.execution import training
from metier.execution.training import Told, train_in
from metier.training import worker
from metier.training.course import Point, StepReport
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.training_job import make_job

ONE, TWO = TrainResources(), TrainResources(workers=2)


def silent(told: Told) -> None:
    return None


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), ["The ledger limit is 100 units."])


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory, ray_cluster):
    """A job that one worker carried out, and what its driver was told."""
    folder = make_job(tmp_path_factory.mktemp("whole") / "job", base, epochs=12)
    told: list[Told] = []
    result = train_in(folder, ONE, told.append)
    return folder, result, told


def adapter(folder: Path):
    return load_file(folder / worker.ADAPTER / "adapter_model.safetensors")


def test_each_step_and_each_checkpoint_reaches_the_driver_in_order(whole):
    _, result, told = whole
    history = result["history"]
    assert [[t.step, t.loss, t.labels] for t in told if isinstance(t, StepReport)] == history["losses"]
    assert [dataclasses.asdict(t) for t in told if isinstance(t, Point)] == history["points"]


@pytest.mark.parametrize("engine", ["ddp", "fsdp2", "zero3"])
def test_two_workers_train_what_one_does(whole, base, tmp_path, engine):
    _, alone, _ = whole
    together = train_in(make_job(tmp_path / "job", base, epochs=12, engine=engine), TWO, silent)
    losses = [[row[1] for row in result["history"]["losses"]] for result in (alone, together)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    values = [[p["val_loss"] for p in result["history"]["points"]] for result in (alone, together)]
    assert values[1] == pytest.approx(values[0], rel=1e-4)


@pytest.mark.parametrize(("restarts", "kills"), [(training.RESTARTS, 1), (0, 2)], ids=["once", "whenever it got on"])
def test_a_killed_worker_is_replaced_and_the_result_is_the_same(whole, base, tmp_path, monkeypatch, restarts, kills):
    monkeypatch.setattr(training, "RESTARTS", restarts)
    expected_folder, expected, _ = whole
    folder = make_job(tmp_path / "job", base, epochs=12)
    killed: list[int] = []  # the step from which the job would go on
    ended = threading.Event()

    def kill_behind_checkpoints() -> None:
        while len(killed) < kills and not ended.is_set():
            if worker.reached(folder) > max(killed, default=0):
                for pid in training_workers():
                    os.kill(pid, signal.SIGKILL)
                killed.append(worker.reached(folder))
            time.sleep(0.02)

    watcher = threading.Thread(target=kill_behind_checkpoints, daemon=True)
    watcher.start()
    try:
        result = train_in(folder, ONE, silent)
    finally:
        ended.set()
        watcher.join()
    assert len(killed) == kills
    assert result == expected
    weights, others = adapter(folder), adapter(expected_folder)
    assert all((weights[name] == others[name]).all() for name in others)


def training_workers() -> list[int]:
    """Process ids of the training workers of this test's cluster: descendants of this process."""
    import psutil

    return [
        p.pid
        for p in psutil.Process().children(recursive=True)
        if "RayTrainWorker" in " ".join(p.cmdline() or [p.name()])
    ]


def test_what_the_loop_refuses_is_raised_in_its_own_words(base, tmp_path, ray_cluster):
    folder = make_job(tmp_path / "job", base, learning_rate=1.0, epochs=40, max_grad_norm=1000, patience=0)
    with pytest.raises(StepError, match=r"^training.*lower train\.learning_rate"):
        train_in(folder, ONE, silent)


def test_a_workers_crash_is_one_line_with_its_reason(base, tmp_path, ray_cluster, monkeypatch):
    monkeypatch.setattr(training, "RESTARTS", 0)
    folder = make_job(tmp_path / "job", base)
    (folder / worker.DEV).unlink()
    with pytest.raises(
        StepError, match=r"^training failed .*, worker 0 with FileNotFoundError: .*dev\.jsonl"
    ) as caught:
        train_in(folder, ONE, silent)
    assert "\n" not in str(caught.value)
