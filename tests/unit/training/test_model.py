from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from metier.errors import InputError
from metier.training.model import (
    FullMethod,
    LoraMethod,
    Method,
    QloraMethod,
    autocast_dtype,
    load_base,
    trainable,
    with_adapter,
)
from tests.fixtures.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"]))


def test_every_linear_layer_but_the_output_gets_an_adapter(folder):
    names = trainable(with_adapter(load_base(folder, "cpu"), LoraMethod(rank=4), seed=0))
    assert len(names) == 2 * 7 * 2  # layers, linear layers in each, factors
    assert not any("lm_head" in name or "embed" in name for name in names)


def test_chosen_targets_alone_are_trained(folder):
    names = trainable(with_adapter(load_base(folder, "cpu"), LoraMethod(rank=4, targets=("q_proj", "v_proj")), seed=0))
    assert len(names) == 2 * 2 * 2


def test_targets_that_match_nothing_are_refused_with_the_names_that_would(folder):
    with pytest.raises(InputError, match=r"w_pack matches no layer; .*down_proj.*q_proj"):
        with_adapter(load_base(folder, "cpu"), LoraMethod(targets=("w_pack",)), seed=0)


def test_one_target_of_several_that_matches_nothing_is_refused(folder):
    with pytest.raises(InputError, match=r"targets: w_pack, proj match no layer"):
        with_adapter(load_base(folder, "cpu"), LoraMethod(targets=("q_proj", "w_pack", "proj")), seed=0)


def test_an_empty_target_is_refused_as_such(folder):
    with pytest.raises(InputError, match=r"targets: one is empty; the model's linear layers are down_proj"):
        with_adapter(load_base(folder, "cpu"), LoraMethod(targets=("q_proj", "")), seed=0)


def test_a_target_that_is_no_linear_layer_is_refused(folder):
    with pytest.raises(InputError, match=r"model\.layers\.0\.mlp is a LlamaMLP, which can have no adapter of lora"):
        with_adapter(load_base(folder, "cpu"), LoraMethod(targets=("q_proj", "mlp")), seed=0)


def test_4_bits_are_for_plain_linear_layers_alone():
    from transformers import GPT2Config, GPT2LMHeadModel

    base = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2, n_positions=32))
    with pytest.raises(InputError, match=r"c_attn is a Conv1D, which can have no adapter of qlora"):
        with_adapter(base, QloraMethod(rank=4), seed=0)
    assert trainable(with_adapter(base, LoraMethod(rank=4), seed=0))


def test_dora_learns_a_magnitude_for_each_output_of_each_layer(folder):
    plain = trainable(with_adapter(load_base(folder, "cpu"), LoraMethod(rank=4), seed=0))
    weights = trainable(with_adapter(load_base(folder, "cpu"), LoraMethod(rank=4, dora=True), seed=0))
    magnitudes = {name: w for name, w in weights.items() if name not in plain}
    assert len(weights) - len(plain) == len(magnitudes) == 14
    layers = dict(load_base(folder, "cpu").named_modules())
    for name, magnitude in magnitudes.items():
        layer = layers[name.removeprefix("base_model.model.").split(".lora_magnitude_vector")[0]]
        torch.testing.assert_close(magnitude.detach(), layer.weight.norm(dim=1))


def test_the_seed_decides_the_first_weights(folder):
    def first(seed: int) -> torch.Tensor:
        return next(iter(trainable(with_adapter(load_base(folder, "cpu"), LoraMethod(rank=4), seed)).values()))

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_the_base_is_float32_on_a_processor_and_frozen(folder):
    base = load_base(folder, "cpu")
    assert {p.dtype for p in base.parameters()} == {torch.float32}
    adapted = with_adapter(base, LoraMethod(rank=4), seed=0)
    assert not any(p.requires_grad for name, p in adapted.named_parameters() if "lora_" not in name)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"rank": 8}, LoraMethod(rank=8)),  # as files say it that name no method
        ({"method": "qlora", "rank": 8}, QloraMethod(rank=8)),
        ({"method": "full"}, FullMethod()),
    ],
)
def test_a_method_is_told_by_its_name_and_lora_by_none(tree, expected):
    assert TypeAdapter(Method).validate_python(tree) == expected
    assert TypeAdapter(Method).validate_python(expected.model_dump()) == expected


@pytest.mark.parametrize("tree", [{"method": "qlorra"}, {"method": "full", "rank": 8}, {"ranc": 8}])
def test_an_unknown_method_or_another_method_s_setting_is_refused(tree):
    with pytest.raises(ValidationError):
        TypeAdapter(Method).validate_python(tree)


@pytest.mark.parametrize(
    ("precision", "device", "expected"),
    [
        ("auto", "cpu", None),
        ("auto", "cuda:0", torch.bfloat16),
        ("float32", "cuda:0", None),
        ("bfloat16", "cpu", torch.bfloat16),
    ],
)
def test_auto_takes_bfloat16_on_a_gpu_only(precision, device, expected):
    assert autocast_dtype(precision, device) is expected
