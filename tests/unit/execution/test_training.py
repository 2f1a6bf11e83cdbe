from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from metier.config import Resources
from metier.errors import StepError
from metier.execution import training
from metier.execution.training import train_in
from metier.training import worker
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.training_job import make_job

ONE, TWO = Resources(), Resources(workers=2)


def silent(done: int, total: int, what: str) -> None:
    return None


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), ["The ledger limit is 100 units."])


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory, ray_cluster):
    """A job that one worker carried out, and what its driver was told."""
    folder = make_job(tmp_path_factory.mktemp("whole") / "job", base, epochs=12)
    told: list[tuple[int, int, str]] = []
    result = train_in(folder, ONE, lambda *said: told.append(said))
    return folder, result, told


def adapter(folder: Path):
    return load_file(folder / worker.ADAPTER / "adapter_model.safetensors")


def test_progress_reaches_the_driver_while_training_goes_on(whole):
    _, result, told = whole
    steps = [done for done, _, _ in told]
    assert steps == sorted(steps)
    assert told[-1][:2] == (len(result["history"]["losses"]), len(result["history"]["losses"]))


def test_two_workers_train_what_one_does(whole, base, tmp_path):
    _, alone, _ = whole
    together = train_in(make_job(tmp_path / "job", base, epochs=12), TWO, silent)
    losses = [[loss for _, loss in result["history"]["losses"]] for result in (alone, together)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    values = [[p["val_loss"] for p in result["history"]["points"]] for result in (alone, together)]
    assert values[1] == pytest.approx(values[0], rel=1e-3)


def test_a_killed_worker_is_replaced_and_the_result_is_the_same(whole, base, tmp_path):
    expected_folder, expected, _ = whole
    folder = make_job(tmp_path / "job", base, epochs=12)
    killed: list[int] = []

    def kill_once_a_checkpoint_is_there() -> None:
        deadline = time.monotonic() + 60
        while not killed and time.monotonic() < deadline:
            if any((folder / worker.CHECKPOINTS).glob("step-*/state.json")):
                for pid in training_workers():
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
            time.sleep(0.02)

    watcher = threading.Thread(target=kill_once_a_checkpoint_is_there, daemon=True)
    watcher.start()
    result = train_in(folder, ONE, silent)
    watcher.join()
    assert killed
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
    folder = make_job(tmp_path / "job", base, dialogues=0)
    with pytest.raises(StepError, match="^training: no token of the training set carries a label"):
        train_in(folder, ONE, silent)


def test_a_workers_crash_is_one_line_with_its_reason(base, tmp_path, ray_cluster, monkeypatch):
    monkeypatch.setattr(training, "RESTARTS", 0)
    folder = make_job(tmp_path / "job", base)
    job = json.loads((folder / worker.JOB).read_text())
    (folder / worker.JOB).write_text(json.dumps(job | {"base": str(tmp_path / "gone")}))
    with pytest.raises(StepError, match=r"^training failed .*, worker 0 with OSError: .*gone") as caught:
        train_in(folder, ONE, silent)
    assert "\n" not in str(caught.value)
