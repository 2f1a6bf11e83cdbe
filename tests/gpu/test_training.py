"""Training jobs on a real GPU, from their files to what they leave: run with `pytest -m gpu tests/gpu`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from metier.config import TrainResources
from metier.execution import training
from metier.training import checkpoints, worker
from metier.training.card import optimiser_of
from metier.training.course import StepReport
from metier.training.engine import Peers, Replicated
from metier.training.fit import PAGED
from metier.training.model import FullMethod, LoraMethod, QloraMethod, load_trainable, trainable
from metier.training.storage import Storage
from tests.fixtures.training_job import CHECKPOINTS, losses, make_job

pytestmark = pytest.mark.gpu
GPU = "cuda:0"
PAGED_FROM = 100_000  # moments; bitsandbytes leaves fewer on the card
METHODS = {"lora": LoraMethod(rank=4), "qlora": QloraMethod(rank=4), "full": FullMethod()}


class Killed(Exception):
    """Stands for the end of the process."""


def killed_after(step: int):
    def tell(told) -> None:
        if isinstance(told, StepReport) and told.step == step:
            raise Killed

    return tell


def refuse_other_course(folder, base, **settings) -> dict:
    """The result of a job, after it was seen to have the losses of one that was killed and went on."""
    whole, broken = (make_job(folder / name, base, precision="bfloat16", **settings) for name in ("whole", "broken"))
    worker.work(whole, Peers(), GPU)
    at = checkpoints.newest(Storage(str(whole / CHECKPOINTS)))["step"] // 2 + 1
    with pytest.raises(Killed):
        worker.work(broken, Peers(), GPU, tell=killed_after(at))
    assert 0 < checkpoints.newest(Storage(str(broken / CHECKPOINTS)))["step"] <= at
    worker.work(broken, Peers(), GPU)
    assert losses(broken) == pytest.approx(losses(whole), rel=5e-3)
    assert losses(whole)[-1] < losses(whole)[0]
    return json.loads((whole / worker.RESULT).read_text())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("optimiser", ["adamw", "adamw_8bit"])
def test_a_resumed_job_goes_on_with_the_losses_of_an_unbroken_one(base, tmp_path, method, optimiser):
    fit = refuse_other_course(tmp_path, base, method=METHODS[method], optimiser=optimiser, learning_rate=1e-3)["fit"]
    assert fit["optimiser"] == optimiser
    assert fit["measured_bytes"] > 0


@pytest.mark.parametrize("engine", ["fsdp2", "zero2", "zero3"])
def test_a_resumed_job_goes_on_under_an_engine_that_spreads(base, tmp_path, engine):
    if engine != "fsdp2":
        pytest.importorskip("deepspeed")
    refuse_other_course(tmp_path, base, method=FullMethod(), engine=engine, learning_rate=1e-4)


def tells_its_allocator(config) -> None:
    settings = torch.cuda.memory._snapshot()["allocator_settings"]
    (Path(config["folder"]) / worker.RESULT).write_text(json.dumps(settings))


def test_a_worker_of_ray_train_lets_segments_grow(base, tmp_path, ray_cluster, monkeypatch):
    monkeypatch.setattr(training, "_one_worker", tells_its_allocator)
    settings = training.train_in(make_job(tmp_path, base), TrainResources(gpus=1), lambda told: None)
    assert settings["expandable_segments"] is True


def test_paged_moments_stay_in_the_host_s_memory_when_a_job_is_resumed(base):
    models = [load_trainable(str(base), FullMethod(), 0, GPU, dense=True) for _ in range(2)]
    first, second = (
        Replicated(model, optimiser_of(PAGED, list(trainable(model).values()), GPU, 1e-3, 0.0), GPU, Peers())
        for model in models
    )
    for _ in range(2):
        for weight in trainable(first.model).values():
            weight.grad = torch.ones_like(weight)
        first.step(1e-3, 1.0)
    saved = {name: tensor.cpu().clone() for name, tensor in first.tensors()}
    second.load(saved)
    loaded = dict(second.tensors())
    assert loaded.keys() == saved.keys()
    for name, tensor in loaded.items():
        assert torch.equal(tensor.cpu(), saved[name]), name
    large = {t.device.type for name, t in loaded.items() if name.startswith("state") and t.numel() >= PAGED_FROM}
    assert large == {"cpu"}
