"""An adapter beside its base, and what is refused before anything is merged."""

from __future__ import annotations

import pytest
import torch

from metier.errors import InputError, StepError
from metier.training.attach import attached, tokenizer_of
from metier.training.nf4 import CODES, dequantised, quantise
from tests.fixtures.tiny_adapter import make_tiny_adapter, rewrite
from tests.fixtures.tiny_model import make_tiny_model

LAYER = "base_model.model.model.layers.1.mlp.up_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("base"), ["The limit is 100 units."])


@pytest.fixture
def adapter(base, tmp_path):
    return make_tiny_adapter(base, tmp_path / "adapter")


def test_it_stands_beside_the_base_as_it_is_or_rounded_to_4_bits(base, adapter):
    model, stored = attached(base, adapter, "cpu")
    assert stored == torch.float32
    assert not model.training
    exact = model.get_submodule(LAYER).base_layer.weight.detach().clone()
    model, _ = attached(base, adapter, "cpu", rounded=True)
    rounded = model.get_submodule(LAYER).base_layer.weight
    expected = dequantised(*quantise(exact), torch.tensor(CODES)).view_as(exact)
    assert torch.equal(rounded, expected)
    assert not torch.equal(rounded, exact)


def test_a_folder_without_a_tokenizer_takes_the_bases(base, adapter):
    own = len(tokenizer_of(base, adapter))
    for file in adapter.glob("token*"):
        file.unlink()
    assert len(tokenizer_of(base, adapter)) == own


def test_one_that_was_never_trained_changes_nothing(base, tmp_path):
    with pytest.raises(StepError, match=r"changes nothing: the second factor \(lora_B\) of all its 14 layers is zero"):
        attached(base, make_tiny_adapter(base, tmp_path, up=0), "cpu")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused_by_name(base, adapter, value):
    rewrite(adapter, lambda w: w | {f"{LAYER}.lora_A.weight": torch.full_like(w[f"{LAYER}.lora_A.weight"], value)})
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.up_proj\.lora_A\.weight holds values that are no finite"):
        attached(base, adapter, "cpu")


def test_weights_that_find_no_layer_are_refused(base, adapter):
    rewrite(adapter, lambda w: {name.replace("layers.1.mlp", "layers.9.mlp"): one for name, one in w.items()})
    with pytest.raises(
        InputError, match=r"does not fit the base .* 6 of 28 of its weights find no layer, first .*layers\.9"
    ):
        attached(base, adapter, "cpu")


def test_layers_that_get_no_weights_are_refused(base, adapter):
    rewrite(adapter, lambda w: {name: one for name, one in w.items() if "layers.1.mlp" not in name})
    with pytest.raises(InputError, match=r"6 of 28 of its base's layers get no weights, first .*layers\.1\.mlp"):
        attached(base, adapter, "cpu")


def test_pickled_weights_are_refused(base, adapter):
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(InputError, match="only pickled weights, which can run code"):
        attached(base, adapter, "cpu")


def test_an_adapter_of_another_kind_is_refused_by_its_name(base, tmp_path):
    from peft import IA3Config, get_peft_model
    from transformers import AutoModelForCausalLM

    get_peft_model(AutoModelForCausalLM.from_pretrained(base), IA3Config(task_type="CAUSAL_LM")).save_pretrained(
        tmp_path
    )
    with pytest.raises(InputError, match="is a IA3 adapter: LoRA, rsLoRA and DoRA can be merged"):
        attached(base, tmp_path, "cpu")
