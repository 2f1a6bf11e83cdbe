from __future__ import annotations

import json

import pytest

from metier.training.shape import LLAMA_8B, LLAMA_70B, Shape, known

DESCRIBED = {
    "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
    "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": False,
}  # fmt: skip


def test_a_shape_is_read_from_the_model_s_own_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(DESCRIBED))
    assert Shape.of(str(tmp_path)) == LLAMA_8B
    assert LLAMA_8B.adapters(16) == 41_943_040  # PEFT's count for all linear layers


def test_a_model_that_is_no_plain_decoder_has_none():
    assert Shape.described({k: v for k, v in DESCRIBED.items() if k != "intermediate_size"}) is None


@pytest.mark.parametrize(
    ("name", "billions"),  # as their publishers count them, without biases
    [
        ("meta-llama/Meta-Llama-3-8B-Instruct", 8.030),
        ("meta-llama/Llama-3.1-8B@main", 8.030),
        ("meta-llama/Llama-3.3-70B-Instruct", 70.554),
        ("mistralai/Mistral-7B-Instruct-v0.3", 7.248),
        ("Qwen/Qwen2.5-7B-Instruct", 7.615),
        ("Qwen/Qwen2.5-14B", 14.770),
        ("Qwen/Qwen2.5-32B", 32.763),
        ("Qwen/Qwen2.5-72B", 72.706),
        ("smollm2-135m-instruct", 0.1345),
    ],
)
def test_well_known_bases_are_known_without_their_files(name, billions):
    assert known(name).weights / 1e9 == pytest.approx(billions, rel=1e-3)


def test_no_other_model_is_guessed_at():
    assert known("somebody/llama-3-8b-pruned") is None
    assert known("llama-3") is None
    assert LLAMA_70B.weights > 8 * LLAMA_8B.weights
