"""What needs no DeepSpeed run, and offload; tests/distributed/test_engines.py trains with it."""

from __future__ import annotations

import sys

import pytest
import torch

from metier.errors import InputError
from metier.training.engine import Peers
from metier.training.zero import zero_config
from tests.fixtures.spread_training import opened, steps
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.worker_processes import in_workers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"]))


def test_offload_keeps_moments_and_under_stage_3_weights_in_the_hosts_memory():
    settings = {stage: zero_config(stage, torch.bfloat16, offload=True)["zero_optimization"] for stage in (2, 3)}
    assert [settings[2]["stage"], settings[3]["stage"]] == [2, 3]
    assert settings[2]["offload_optimizer"]["device"] == settings[3]["offload_optimizer"]["device"] == "cpu"
    assert settings[3]["offload_param"]["device"] == "cpu"
    assert "offload_param" not in settings[2]
    plain = zero_config(3, None, offload=False)
    assert not {"offload_optimizer", "offload_param"} & set(plain["zero_optimization"])
    assert plain["bf16"] == {"enabled": False}


def test_without_the_package_the_reader_is_told(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    for name in ("DS_ACCELERATOR", "LOCAL_RANK"):
        monkeypatch.setenv(name, "cpu")
    with pytest.raises(InputError, match="need the package deepspeed, which is not installed"):
        opened(folder, "zero3", "lora", Peers())


def offloaded(peers: Peers, folder: str):
    return steps(opened(folder, "zero3", "full", peers, offload=True), 3)


def test_offload_changes_no_loss(folder, tmp_path):
    (mine,) = in_workers(offloaded, 1, tmp_path / "one", folder)
    for found, expected in zip(mine, steps(opened(folder, "ddp", "full", Peers()), 3), strict=True):
        assert found == pytest.approx(expected, abs=1e-4)
