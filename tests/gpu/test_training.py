"""Training jobs on a real GPU, from their files to what they leave: run with `pytest -m gpu tests/gpu`."""

from __future__ import annotations

import json

import pytest
import torch

from metier.training import checkpoints, worker
from metier.training.course import StepReport
from metier.training.engine import Peers
from metier.training.model import FullMethod, LoraMethod, QloraMethod
from metier.training.storage import Storage
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.training_job import CHECKPOINTS, make_job

pytestmark = pytest.mark.gpu
GPU = "cuda:0"
METHODS = {"lora": LoraMethod(rank=4), "qlora": QloraMethod(rank=4), "full": FullMethod()}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The tiny tokenizer beside a model as wide as rows of 4 bits and the fast path's heads want it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = make_tiny_model(tmp_path_factory.mktemp("model"), ["The ledger limit is 100 units."])
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=512, hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4,
                         num_key_value_heads=2, head_dim=64, max_position_embeddings=2048, bos_token_id=1, eos_token_id=2,
                         pad_token_id=2)  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


class Killed(Exception):
    """Stands for the end of the process."""


def killed_after(step: int):
    def tell(told) -> None:
        if isinstance(told, StepReport) and told.step == step:
            raise Killed

    return tell


def losses(folder) -> list[float]:
    return [loss for _, loss in json.loads((folder / worker.RESULT).read_text())["history"]["losses"]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("optimiser", ["adamw", "adamw_8bit"])
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
