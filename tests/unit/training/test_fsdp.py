"""With one worker, in this process; tests/distributed/test_engines.py has two."""

from __future__ import annotations

import pytest
import torch.distributed as distributed
from torch.distributed.tensor import DTensor

from metier.training.engine import Peers
from tests.fixtures.spread_training import answer, opened, steps, validation_loss
from tests.fixtures.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    yield str(make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"]))
    if distributed.is_initialized():
        distributed.destroy_process_group()  # the group of one that the engine made


@pytest.fixture(scope="module")
def plain(folder):
    return steps(opened(folder, "ddp", "full", Peers()), 3)


@pytest.mark.parametrize("offload", [False, True])
def test_it_trains_as_a_model_that_is_not_spread(folder, plain, offload):
    engine = opened(folder, "fsdp2", "full", Peers(), offload=offload)
    for mine, expected in zip(steps(engine, 3), plain, strict=True):
        assert mine == pytest.approx(expected, abs=1e-4)


def test_weights_are_slices_again_after_an_evaluation(folder):
    engine = opened(folder, "fsdp2", "lora", Peers())
    validation_loss(engine)
    answer(engine)
    assert all(isinstance(weight, DTensor) for weight in engine.model.parameters())


def test_what_was_loaded_is_what_computes_next(folder, plain):
    engine = opened(folder, "fsdp2", "full", Peers())
    before = {name: tensor.clone() for name, tensor in engine.tensors()}
    first = steps(engine, 2)
    validation_loss(engine)
    engine.load(before)
    assert validation_loss(engine) == validation_loss(opened(folder, "fsdp2", "full", Peers()))
    for mine, theirs in zip(first, plain[:2], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)
