"""Two GPUs with NCCL, on the fast path and under Ray Train: `pytest -m gpu tests/gpu/test_two_gpus.py` where there are two.

Figures are benchmarks/training/spread.py's.
"""

from __future__ import annotations

import importlib.util

import pytest
import torch

from benchmarks.training.corpus import make_model
from benchmarks.training.spread import Case, on_gpus
from metier.config import TrainResources
from metier.execution.training import train_in
from metier.training import worker
from metier.training.course import StepReport
from metier.training.engine import Peers
from metier.training.model import FullMethod
from tests.fixtures.training_job import losses, make_job

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs"),
]
METHODS = ("lora", "full")
SPREAD = ["fsdp2", *(["zero3"] if importlib.util.find_spec("deepspeed") else [])]
NOISE = 0.02  # of bfloat16 in a loss
JOB = {"method": FullMethod(), "precision": "bfloat16", "learning_rate": 1e-3}


def case(engine: str, method: str) -> Case:
    return Case(engine, method, "full", rank=8, row=1024, text=256, tokens=4096, steps=4)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    make_model(folder, vocab_size=8192, hidden_size=1024, intermediate_size=2816, num_hidden_layers=8, num_attention_heads=8,
               num_key_value_heads=4, bos_token_id=1, eos_token_id=2)  # fmt: skip
    torch.cuda.empty_cache()
    return folder


@pytest.fixture(scope="module")
def one_gpu(small):
    return {method: on_gpus(1, small, case("ddp", method))[0] for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("engine", SPREAD)
def test_two_gpus_have_the_losses_of_one(engine, method, small, one_gpu):
    both = on_gpus(2, small, case(engine, method))
    expected = one_gpu[method]
    assert expected["losses"][-1] < expected["losses"][0]
    for found in both:
        assert found["losses"] == pytest.approx(expected["losses"], rel=NOISE)
        if method == "full":  # half a base as small as this is less than what DeepSpeed sums in
            assert found["peak_bytes"] < expected["peak_bytes"]


@pytest.fixture(scope="module")
def alone(base, tmp_path_factory):
    """A job's losses on one GPU, without Ray."""
    folder = make_job(tmp_path_factory.mktemp("alone"), base, **JOB)
    worker.work(folder, Peers(), "cuda:0")
    return losses(folder)


@pytest.mark.parametrize("engine", ["ddp", *SPREAD])
def test_ray_train_puts_a_worker_on_each_gpu(engine, base, alone, tmp_path, ray_cluster):
    folder = make_job(tmp_path, base, engine=engine, **JOB)
    told = []
    train_in(folder, TrainResources(workers=2, gpus=1), told.append)
    assert losses(folder) == pytest.approx(alone, rel=NOISE)
    assert alone[-1] < alone[0]
    assert [one.step for one in told if isinstance(one, StepReport)] == list(range(1, len(alone) + 1))
