"""Training jobs on a real GPU, from their files to what they leave: run with `pytest -m gpu tests/gpu`."""

from __future__ import annotations

import json

import pytest
import torch

from metier.training import checkpoints, worker
from metier.training.course import StepReport
from metier.training.engine import Peers
from metier.training.model import FullMethod, LoraMethod, QloraMethod, trainable
from metier.training.preparation import prepared
from metier.training.recipe import Recipe
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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("optimiser", ["adamw", "adamw_8bit", "paged_adamw_8bit"])
def test_a_resumed_job_goes_on_with_the_losses_of_an_unbroken_one(base, tmp_path, method, optimiser):
    settings = {"method": METHODS[method], "optimiser": optimiser, "precision": "bfloat16", "learning_rate": 1e-3}
    whole, broken = (make_job(tmp_path / name, base, **settings) for name in ("whole", "broken"))
    worker.work(whole, Peers(), GPU)
    at = checkpoints.newest(Storage(str(whole / CHECKPOINTS)))["step"] // 2 + 1
    with pytest.raises(Killed):
        worker.work(broken, Peers(), GPU, tell=killed_after(at))
    assert 0 < checkpoints.newest(Storage(str(broken / CHECKPOINTS)))["step"] <= at
    worker.work(broken, Peers(), GPU)
    assert losses(broken) == pytest.approx(losses(whole), rel=5e-3)
    assert losses(whole)[-1] < losses(whole)[0]
    fit = json.loads((whole / worker.RESULT).read_text())["fit"]
    assert fit["optimiser"] == optimiser
    assert fit["measured_bytes"] > 0


def test_paged_moments_stay_in_the_host_s_memory_when_a_job_is_resumed(base):
    recipe = Recipe(optimiser="paged_adamw_8bit", batch_tokens=512)
    first, second = (prepared(str(base), FullMethod(), recipe, GPU, 64)[0] for _ in range(2))
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
