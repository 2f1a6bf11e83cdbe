from __future__ import annotations

import json

import pytest

from metier.errors import InputError
from metier.training.shape import LLAMA_8B, LLAMA_70B, TIED, Shape, known

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
    "experts",
    [
        {"num_local_experts": 8, "num_experts_per_tok": 2},  # Mixtral
        {"num_experts": 128, "moe_intermediate_size": 768},  # Qwen3
        {"n_routed_experts": 256},  # DeepSeek V3
        {"moe_num_experts": 64},  # Ernie 4.5
        {"moe_num_experts": [64, 64]},
    ],
)
def test_a_mixture_of_experts_is_no_plain_decoder(experts):
    assert Shape.described(DESCRIBED | experts) is None


@pytest.mark.parametrize(
    "alone", [{"num_experts": 1}, {"num_local_experts": 0}, {"num_experts": None}, {"is_moe": False}]
)
def test_one_expert_is_a_plain_decoder(alone):
    assert Shape.described(DESCRIBED | alone) == LLAMA_8B


def test_what_a_file_leaves_out_of_its_output_layer_is_as_the_model_s_type_has_it():
    """Held together with transformers' own defaults, for all types that would be counted as plain decoders."""
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

    unsaid = {k: v for k, v in DESCRIBED.items() if k != "tie_word_embeddings"}
    decoders = {kind.model_type for kind in MODEL_FOR_CAUSAL_LM_MAPPING} & {
        *TIED, "llama", "mistral", "qwen2", "qwen3", "phi3", "granite", "glm4", "olmo2"
    }  # fmt: skip
    assert decoders > set(TIED)
    for kind in decoders:
        told = Shape.described(unsaid | {"model_type": kind})
        assert told.tied == CONFIG_MAPPING[kind]().tie_word_embeddings, kind
    gemma = DESCRIBED | {"model_type": "gemma2"}
    assert (Shape.described(gemma).tied, Shape.described(gemma | {"tie_word_embeddings": None}).tied) == (False, True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0, and"),
        ({"num_hidden_layers": 10**7}, "num_hidden_layers is 10000000, and"),
        ({"hidden_size": -3}, "hidden_size is -3, and"),
        ({"vocab_size": 10**15}, "vocab_size is 1000000000000000, and"),
        ({"intermediate_size": 14336.5}, "intermediate_size is 14336.5, and"),
        ({"intermediate_size": "14336"}, "intermediate_size is 14336, and"),
        ({"num_key_value_heads": 0}, "num_key_value_heads is 0, and"),
        ({"head_dim": True}, "head_dim is True, and"),
        ({"num_attention_heads": 8192}, "head_dim is 0, and"),
        ({"num_attention_heads": 0}, "no numbers, or none"),
        ({"num_attention_heads": "many"}, "no numbers, or none"),
        ({"num_hidden_layers": None}, "num_hidden_layers is None, and"),
    ],
)
def test_sizes_that_can_t_be_are_refused_in_one_line(changes, said):
    with pytest.raises(InputError, match=said) as refused:
        Shape.described(DESCRIBED | changes)
    assert "config.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_model_whose_layers_differ_is_no_plain_decoder():
    assert Shape.described(DESCRIBED | {"intermediate_size": [14336, 7168]}) is None


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
