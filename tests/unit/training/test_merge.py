from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from metier.errors import InputError, StepError
from metier.training.merge import Merged, merge, refuse_unsound
from metier.training.model import LoraMethod, load_base, trainable, with_adapter
from tests.fixtures.tiny_model import make_tiny_model

TEXTS = ["The limit is 100 units.", "A branch reports its ledger within three days."]


def adapter_on(base, folder, moved: bool = True):
    """A saved adapter; a fresh one changes nothing, since its second factors are zero."""
    model = with_adapter(load_base(str(base), "cpu"), LoraMethod(rank=4), seed=0)
    if moved:
        with torch.no_grad():
            for name, weight in trainable(model).items():
                if "lora_B" in name:
                    weight.normal_(std=0.1)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("base"), TEXTS)


def test_the_merged_model_answers_as_base_and_adapter_do(base, tmp_path):
    adapter = adapter_on(base, tmp_path / "adapter")
    found = merge(base, adapter, tmp_path / "model")
    assert found.from_adapter < 1e-4 < found.from_base
    assert found.layers == 2 * 7
    ids = torch.tensor([AutoTokenizer.from_pretrained(tmp_path / "model")("The limit")["input_ids"]])
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    untouched = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    assert not torch.allclose(merged(ids).logits, untouched(ids).logits, atol=1e-4)


def test_the_merged_folder_is_complete_and_names_no_path(base, tmp_path):
    merge(base, adapter_on(base, tmp_path / "adapter"), tmp_path / "model")
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


def test_merging_twice_gives_the_same_bytes(base, tmp_path):
    adapter = adapter_on(base, tmp_path / "adapter")
    merge(base, adapter, tmp_path / "one")
    merge(base, adapter, tmp_path / "two")
    assert (tmp_path / "one/model.safetensors").read_bytes() == (tmp_path / "two/model.safetensors").read_bytes()


def test_an_adapter_that_changes_nothing_is_refused(base, tmp_path):
    with pytest.raises(StepError, match="changes nothing"):
        merge(base, adapter_on(base, tmp_path / "adapter", moved=False), tmp_path / "model")


def test_an_adapter_of_another_base_is_refused(base, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    wider = LlamaConfig(
        vocab_size=512, hidden_size=96, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2
    )
    LlamaForCausalLM(wider).save_pretrained(tmp_path / "wider")
    with pytest.raises(InputError, match="does not fit the base"):
        merge(tmp_path / "wider", adapter_on(base, tmp_path / "adapter"), tmp_path / "model")


@pytest.mark.parametrize("difference", [0.5, float("nan")])
def test_a_merge_that_changes_the_answers_is_refused(difference):
    with pytest.raises(StepError, match="not base and adapter together"):
        refuse_unsound(Merged(from_adapter=difference, from_base=1.0, largest_logit=10.0, layers=1))
