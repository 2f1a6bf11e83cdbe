from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from metier.errors import InputError, StepError
from metier.training.merge import Merged, merge, refuse_unsound
from metier.training.nf4 import CODES, dequantised, quantise
from tests.fixtures.tiny_adapter import make_tiny_adapter
from tests.fixtures.tiny_model import make_tiny_model

TEXTS = ["The limit is 100 units.", "A branch reports its ledger within three days."]
LAYER = "model.layers.0.self_attn.o_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("base"), TEXTS)


@pytest.fixture(scope="module")
def half(base, tmp_path_factory):
    """The same base, stored in bfloat16."""
    folder = tmp_path_factory.mktemp("half")
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


def factors(adapter):
    """Both factors of one layer's adapter, multiplied, before any scale."""
    weights = load_file(adapter / "adapter_model.safetensors")
    prefix = f"base_model.model.{LAYER}"
    return weights[f"{prefix}.lora_B.weight"] @ weights[f"{prefix}.lora_A.weight"]


def weight(folder):
    return load_file(folder / "model.safetensors")[f"{LAYER}.weight"]


def test_the_merged_model_answers_as_base_and_adapter_do(base, tmp_path):
    adapter = make_tiny_adapter(base, tmp_path / "adapter")
    found = merge(base, adapter, tmp_path / "model")
    assert found.from_adapter < 1e-4 < found.from_base
    assert found.layers == 2 * 7
    ids = torch.tensor([AutoTokenizer.from_pretrained(tmp_path / "model")("The limit")["input_ids"]])
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    untouched = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    assert not torch.allclose(merged(ids).logits, untouched(ids).logits, atol=1e-4)


def test_the_merged_folder_is_complete_and_names_no_path(base, tmp_path):
    merge(base, make_tiny_adapter(base, tmp_path / "adapter"), tmp_path / "model")
    names = {p.name for p in (tmp_path / "model").iterdir()}
    assert {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "model.safetensors",
    } <= names
    assert json.loads((tmp_path / "model/config.json").read_text())["dtype"] == "float32"
    texts = [p.read_text() for p in (tmp_path / "model").iterdir() if p.suffix in (".json", ".jinja")]
    assert not any(str(tmp_path) in text or str(base) in text for text in texts)


@pytest.mark.parametrize(("kind", "scale"), [({}, 8 / 4), ({"use_rslora": True}, 8 / 4**0.5)], ids=["lora", "rslora"])
def test_the_scale_is_the_adapters_own(base, tmp_path, kind, scale):
    adapter = make_tiny_adapter(base, tmp_path / "adapter", **kind)
    found = merge(base, adapter, tmp_path / "model")
    assert found.from_adapter < 1e-4 < found.from_base
    assert torch.allclose(weight(tmp_path / "model"), weight(base) + scale * factors(adapter), atol=1e-6)


def test_dora_is_merged_with_its_magnitudes(base, tmp_path):
    adapter = make_tiny_adapter(base, tmp_path / "adapter", use_dora=True)
    assert merge(base, adapter, tmp_path / "model").from_adapter < 1e-4
    magnitude = load_file(adapter / "adapter_model.safetensors")[f"base_model.model.{LAYER}.lora_magnitude_vector"]
    direction = weight(base) + 2 * factors(adapter)
    expected = magnitude[:, None] * direction / direction.norm(dim=1, keepdim=True)
    assert torch.allclose(weight(tmp_path / "model"), expected, atol=1e-5)


def test_the_base_may_first_be_rounded_as_qlora_trained_beside_it(base, tmp_path):
    adapter = make_tiny_adapter(base, tmp_path / "adapter")
    found = merge(base, adapter, tmp_path / "model", onto="rounded")
    assert found.from_adapter < 1e-4 < found.from_base
    rounded = dequantised(*quantise(weight(base)), torch.tensor(CODES)).view_as(weight(base))
    assert torch.allclose(weight(tmp_path / "model"), rounded + 2 * factors(adapter), atol=1e-6)


def test_the_bases_format_is_kept_and_the_sum_rounded_once(base, half, tmp_path):
    adapter = make_tiny_adapter(base, tmp_path / "adapter")
    found = merge(half, adapter, tmp_path / "model")
    assert (found.dtype, found.moved > 0.9) == ("bfloat16", True)
    assert 0 < found.rounding < 0.1
    assert json.loads((tmp_path / "model/config.json").read_text())["dtype"] == "bfloat16"
    once = (weight(half).float() + 2 * factors(adapter)).bfloat16()
    assert torch.equal(weight(tmp_path / "model"), once)


def test_a_dora_adapter_that_was_never_trained_is_refused_though_it_has_magnitudes(base, tmp_path):
    with pytest.raises(StepError, match="changes nothing"):
        merge(base, make_tiny_adapter(base, tmp_path / "adapter", up=0, use_dora=True), tmp_path / "model")


@pytest.mark.parametrize(
    ("up", "why"), [(1e-20, "no weight of the base moves in bfloat16"), (1e-8, ".* within what bfloat16 rounds")]
)
def test_an_adapter_that_its_bases_format_rounds_away_is_refused(base, half, tmp_path, up, why):
    faint = make_tiny_adapter(base, tmp_path / "adapter", up=up)
    with pytest.raises(StepError, match=f"changes nothing: {why}"):
        merge(half, faint, tmp_path / "model")


def test_what_stood_beside_and_what_was_written_is_shown_to_whoever_looks(base, tmp_path):
    shown = []
    merge(
        base,
        make_tiny_adapter(base, tmp_path / "adapter"),
        tmp_path / "model",
        seen=lambda merged, model: shown.append((merged, hasattr(model, "peft_config"), model.training)),
    )
    assert shown == [(False, True, False), (True, False, False)]


def test_merging_twice_gives_the_same_bytes(base, tmp_path):
    adapter = make_tiny_adapter(base, tmp_path / "adapter")
    merge(base, adapter, tmp_path / "one")
    merge(base, adapter, tmp_path / "two")
    assert (tmp_path / "one/model.safetensors").read_bytes() == (tmp_path / "two/model.safetensors").read_bytes()


def test_an_adapter_that_changes_nothing_is_refused(base, tmp_path):
    with pytest.raises(StepError, match="changes nothing"):
        merge(base, make_tiny_adapter(base, tmp_path / "adapter", up=0), tmp_path / "model")


def test_an_adapter_of_another_base_is_refused(base, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    wider = LlamaConfig(
        vocab_size=512, hidden_size=96, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2
    )
    LlamaForCausalLM(wider).save_pretrained(tmp_path / "wider")
    with pytest.raises(InputError, match="does not fit the base"):
        merge(tmp_path / "wider", make_tiny_adapter(base, tmp_path / "adapter"), tmp_path / "model")


def test_more_is_allowed_where_the_format_has_fewer_digits():
    found = {"from_adapter": 0.1, "from_base": 1.0, "largest_logit": 10.0, "layers": 1}
    refuse_unsound(Merged(**found, dtype="bfloat16"))
    with pytest.raises(StepError, match="is allowed in float32"):
        refuse_unsound(Merged(**found))


def test_what_is_lost_in_rounding_changes_nothing():
    with pytest.raises(StepError, match="within what bfloat16 rounds"):
        refuse_unsound(Merged(from_adapter=0.1, from_base=0.09, largest_logit=10.0, layers=1, dtype="bfloat16"))


@pytest.mark.parametrize("difference", [0.5, float("nan")])
def test_a_merge_that_changes_the_answers_is_refused(difference):
    with pytest.raises(StepError, match="not base and adapter together"):
        refuse_unsound(Merged(from_adapter=difference, from_base=1.0, largest_logit=10.0, layers=1))
