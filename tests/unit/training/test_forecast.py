"""What `metier plan` tells of training: from a file's own words and what is on this machine."""

from __future__ import annotations

import json

import pytest

from metier.config import TrainResources
from metier.errors import InputError
from metier.training.forecast import forecast
from metier.training.model import FullMethod, LoraMethod, QloraMethod
from metier.training.recipe import Recipe
from metier.training.shape import LLAMA_8B

BASE = "meta-llama/Meta-Llama-3-8B-Instruct"
RECIPE = Recipe(batch_tokens=16384, pack_tokens=4096)


def told(base=BASE, method=None, recipe=RECIPE, max_tokens=2048, **resources):
    return forecast(base, method or QloraMethod(), recipe, max_tokens, TrainResources(gpus=1, **resources))


@pytest.fixture(autouse=True)
def no_hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_run_on_processors_needs_no_fit():
    assert forecast(BASE, LoraMethod(), RECIPE, 2048, TrainResources()) is None


def test_a_well_known_base_is_foretold_before_it_is_fetched():
    one = told(gpu_memory_gb=24)
    assert (one.weights, one.fetched_bytes) == (LLAMA_8B.weights, 2 * LLAMA_8B.weights)
    assert (one.fit.piece_tokens, one.fit.dense, one.least) == (4096, False, None)
    assert one.fit.predicted_bytes < one.card_bytes == 24e9


def test_a_base_that_is_here_is_read_and_not_fetched(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    sizes = {
        "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 500
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(sizes))
    (folder / "model.safetensors").write_bytes(b"weights")
    one = told(str(folder), LoraMethod(), gpu_memory_gb=24)
    assert one.fetched_bytes == 0
    assert one.weights == 2 * (64 * 256 + 3 * 64 * 128) + 2 * 500 * 64 + 5 * 64


def test_what_is_not_known_is_said():
    assert "not fetched yet" in told("somebody/something", gpu_memory_gb=24).unknown
    one = told()
    assert "set resources.train.gpu_memory_gb" in one.unknown
    assert (one.fit, one.weights) == (None, LLAMA_8B.weights)


def test_a_card_of_this_machine_is_asked_where_the_file_names_none(fake_gpus):
    fake_gpus(24564)
    assert told().card_bytes == pytest.approx(24564 * 2**20, rel=0.03)
    assert told(gpu_memory_gb=80).card_bytes == 80e9


def test_a_worker_on_half_a_card_gets_half_of_its_memory():
    halved = forecast(BASE, QloraMethod(), RECIPE, 2048, TrainResources(gpus=0.5, gpu_memory_gb=80))
    assert halved.card_bytes == 40e9


def test_fewer_workers_must_have_room_too():
    recipe = Recipe(batch_tokens=32768, pack_tokens=4096)
    one = told(method=FullMethod(), recipe=recipe, workers=8, min_workers=4, gpu_memory_gb=80)
    assert (one.engine, one.fit.workers, one.least.workers) == ("fsdp2", 8, 4)
    with pytest.raises(InputError, match="take engine fsdp2 on 3 workers"):
        told(method=FullMethod(), recipe=recipe, workers=8, min_workers=2, gpu_memory_gb=80)


def test_the_data_for_scripts_hold_no_speed_that_nobody_measured():
    tree = json.loads(json.dumps(told(gpu_memory_gb=24).as_json()))
    assert tree["fit"]["checkpointing"] == "none"
    assert not {"tokens_per_second", "measured_bytes"} & set(tree["fit"])


def test_qlora_loads_the_whole_base_into_each_worker_s_host():
    assert told(gpu_memory_gb=24).fit.host_bytes == 2 * LLAMA_8B.weights
    assert told(gpu_memory_gb=24, workers=4).fit.host_bytes == 2 * LLAMA_8B.weights  # whole, however many there are
    assert told(method=LoraMethod(), gpu_memory_gb=80).fit.host_bytes == 0


def test_a_mixture_of_experts_is_said_to_be_no_plain_decoder(tmp_path):
    sizes = {
        "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 14336, "vocab_size": 32000, "num_local_experts": 8
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    one = told(str(tmp_path), gpu_memory_gb=24)
    assert (one.fit, one.weights) == (None, 0)
    assert "it is no plain decoder" in one.unknown
