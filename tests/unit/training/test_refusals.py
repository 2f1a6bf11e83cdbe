from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from metier.errors import InputError
from metier.inference.transformers_engine import load_tokenizer
from metier.records import Message, Rejection
from metier.training.model import FullMethod, LoraMethod, QloraMethod
from metier.training.refusals import (
    context_of,
    reasons_of,
    refuse_long_context,
    refuse_long_prompts,
    refuse_unfit_base,
    refuse_unfit_files,
    skeleton,
)
from tests.fixtures.chat_templates import CHAT_TEMPLATE
from tests.fixtures.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"], context=64)


@pytest.fixture(scope="module")
def tokenizer(base):
    return load_tokenizer(str(base))


@pytest.fixture
def other(base, tmp_path):
    """The base with other values in its config.json, and without weights: none is read."""

    def with_values(**values: object) -> str:
        folder = shutil.copytree(base, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
        described = json.loads((folder / "config.json").read_text()) | values
        (folder / "config.json").write_text(json.dumps(described))
        return str(folder)

    return with_values


@pytest.fixture
def whole(base, tmp_path):
    """A copy of the base with its weights."""
    return shutil.copytree(base, tmp_path / "whole")


def changed(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def refused(folder: object) -> str:
    """The one line with which the files are refused."""
    with pytest.raises(InputError) as told:
        refuse_unfit_files(str(folder))
    assert "\n" not in str(told.value)
    assert str(folder) in str(told.value)
    return str(told.value)


METHODS = (LoraMethod(), LoraMethod(dora=True, targets=("q_proj", "lm_head")), QloraMethod(), FullMethod())


@pytest.mark.parametrize("method", METHODS)
def test_a_sound_base_is_let_through_without_its_weights(other, tokenizer, method):
    refuse_unfit_base(other(tie_word_embeddings=False), method, tokenizer)


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens", "model.embed_tokens"])
def test_an_adapter_of_weights_that_two_layers_share_is_refused_before_training(other, tokenizer, target):
    with pytest.raises(InputError, match=r"targets: \S+ shares its weights .* leave it out, or train with method full"):
        refuse_unfit_base(other(), LoraMethod(targets=("q_proj", target)), tokenizer)


def test_a_skeleton_holds_no_weights(base):
    assert {p.device.type for p in skeleton(str(base)).parameters()} == {"meta"}


def test_a_target_that_matches_nothing_is_named_with_the_layers_that_there_are(base, tokenizer):
    with pytest.raises(
        InputError, match=r"targets: c_attn matches no layer; .* are down_proj, .*, q_proj, up_proj, v_proj$"
    ):
        refuse_unfit_base(str(base), LoraMethod(targets=("q_proj", "c_attn")), tokenizer)


def test_a_tokenizer_of_another_model_is_refused(other, tokenizer):
    highest = max(tokenizer.get_vocab().values())
    refuse_unfit_base(other(vocab_size=highest + 1), LoraMethod(), tokenizer)


def test_a_tokenizer_with_one_id_too_many_is_refused(other, tokenizer):
    highest = max(tokenizer.get_vocab().values())
    with pytest.raises(InputError, match=rf"the id {highest}, the model embeds ids up to {highest - 1};"):
        refuse_unfit_base(other(vocab_size=highest), LoraMethod(), tokenizer)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "type 't5' is no causal language model"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "are of LlamaForSequenceClassification, which is no"),
        ({"model_type": "of-tomorrow"}, "describes no model that is known here"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "of BertForMaskedLM, which is no causal language model"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be a whole number from 1, not 0"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers 1000000000 is more than 2000"),
        ({"hidden_size": "64"}, "known here .*'hidden_size' expected int"),
        ({"hidden_size": 10**25}, "known here"),
        ({"num_attention_heads": 0}, "known here"),
        ({"vocab_size": -1}, "known here"),
        ({"pad_token_id": 10**9}, "known here"),
        ({"hidden_act": "foo"}, "known here .*foo"),
        ({"model_type": 5}, "known here"),
        ({"rope_parameters": "bogus"}, "known here"),
        ({"architectures": [5]}, "weights are of 5, which is no causal"),
        ({"text_config": "x"}, "config.json: text_config is no object"),
        ({"auto_map": {"AutoConfig": "code.Config"}, "model_type": "own"}, "describes no model that is known here"),
    ],
)  # fmt: skip
def test_a_base_that_is_no_plain_causal_language_model_is_refused_in_one_line(other, tokenizer, values, said):
    with pytest.raises(InputError, match=said) as refused:
        refuse_unfit_base(other(**values), LoraMethod(), tokenizer)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("scheme", [{"quant_method": "gptq", "bits": 4}, "gptq"])
def test_quantised_weights_are_refused(other, scheme):
    with pytest.raises(InputError, match=r"quantised \(gptq\); train on the full-precision"):
        refuse_unfit_files(other(quantization_config=scheme))


def test_a_model_with_parts_that_text_does_not_train_is_refused(tmp_path):
    from transformers import Gemma3Config

    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    Gemma3Config(
        text_config={**tiny, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 512},
        vision_config={**tiny, "image_size": 28, "patch_size": 14},
        architectures=["Gemma3ForConditionalGeneration"],
    ).save_pretrained(tmp_path)
    with pytest.raises(
        InputError, match=r"beside its decoder, first model\.vision_tower.* give a text-only checkpoint"
    ):
        skeleton(str(tmp_path))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"num_hidden_layers": 6}, "36 of the weights .* in no file, first model.layers.2.self_attn.q_proj.weight"),
        ({"hidden_size": 128}, r"other shapes .* first model.embed_tokens.weight: \[512, 64\], not \[512, 128\]"),
        ({"num_key_value_heads": 1}, r"4 of its weights .* first model.layers.0.self_attn.k_proj.weight: \[64, 64\]"),
        ({"tie_word_embeddings": False}, "1 of the weights .* in no file, first lm_head.weight"),
    ],
)
def test_weights_that_loading_would_make_up_are_refused(whole, values, said):
    changed(whole / "config.json", **values)
    assert re.search(said, refused(whole))


def test_a_file_without_the_models_weights_is_refused(whole):
    for tensors in ({}, {"foo": torch.ones(2)}):
        save_file(tensors, whole / "model.safetensors")
        assert "20 of the weights that its config.json describes are in no file" in refused(whole)


def test_a_file_of_an_unknown_number_format_is_refused(whole):
    header = json.dumps({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (whole / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    assert "model.safetensors is cut short or damaged" in refused(whole)


def test_experts_of_which_one_is_missing_are_refused(tmp_path):
    """Loading makes one weight of them all, so it is not by its own name that one is missing."""
    from transformers import MixtralConfig, MixtralForCausalLM

    small = MixtralConfig(vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
                          num_key_value_heads=1, num_local_experts=2, pad_token_id=0)  # fmt: skip
    MixtralForCausalLM(small).save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    refuse_unfit_files(str(tmp_path))
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.0.block_sparse_moe.experts.1.w1.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    assert "its weight files do not fit its config.json" in refused(tmp_path)


def without_prefix(weights):
    return {name.removeprefix("model."): weight for name, weight in weights.items()}


def with_more(weights):
    old = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(16), "other.weight": torch.ones(2)}
    return weights | old | {"lm_head.weight": weights["model.embed_tokens.weight"].clone()}


def under_the_head(weights):
    return {name.replace("model.embed_tokens", "lm_head"): weight for name, weight in weights.items()}


@pytest.mark.parametrize("other_form", [without_prefix, with_more, under_the_head])
def test_weights_in_other_forms_that_loading_understands_are_let_through(whole, other_form):
    weights = load_file(whole / "model.safetensors")
    save_file(other_form(weights), whole / "model.safetensors")
    refuse_unfit_files(str(whole))


def test_gpt2_weights_as_they_were_first_published_are_let_through(tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2, n_positions=32))
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    first = {name.removeprefix("transformer."): w for name, w in weights.items() if name != "lm_head.weight"}
    save_file(first | {"h.0.attn.bias": torch.ones(1, 1, 32, 32)}, tmp_path / "model.safetensors")
    (tmp_path / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    refuse_unfit_files(str(tmp_path))


def test_nothing_but_the_one_line_is_told(whole, capfd, monkeypatch):
    told: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "handle", told.append)
    monkeypatch.setattr(logging.getLogger("transformers"), "handlers", [handler])
    changed(whole / "config.json", num_hidden_layers=6)
    refused(whole)
    assert (told, capfd.readouterr()) == ([], ("", ""))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("adapter_model.safetensors", "it is an adapter; give the model that it was merged into"),
        (
            "model-00001-of-00002.safetensors",
            "neither model.safetensors nor model.safetensors.index.json, but model-00001",
        ),
    ],
)
def test_weights_that_loading_would_not_find_are_refused(whole, name, said):
    (whole / "model.safetensors").rename(whole / name)
    assert said in refused(whole)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({}, "it has no weight_map"),
        ({"metadata": {}, "weight_map": []}, "it has no weight_map"),
        ({"metadata": {}, "weight_map": {"a": 5}}, "5 is no .safetensors file beside it"),
        ({"metadata": {}, "weight_map": {"a": "../x.safetensors"}}, "'../x.safetensors' is no .safetensors file"),
    ],
)
def test_a_broken_index_is_one_line(whole, index, said):
    (whole / "model.safetensors").unlink()
    (whole / "model.safetensors.index.json").write_text(json.dumps(index))
    assert said in refused(whole)


def test_shards_are_found_by_their_index(whole):
    (whole / "model.safetensors").rename(whole / "a.safetensors")
    index = {"metadata": {}, "weight_map": {"model.embed_tokens.weight": "a.safetensors"}}
    (whole / "model.safetensors.index.json").write_text(json.dumps(index))
    refuse_unfit_files(str(whole))


@pytest.mark.parametrize("text", ["{", "", "[]", "[" * 200_000])
@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json"])
def test_broken_json_is_one_line_that_names_the_file(whole, name, text):
    (whole / name).write_text(text)
    assert f"{name}: not a" in refused(whole)


@pytest.mark.parametrize("ends", [[[2]], "</s>", -1, True, 10**12])
def test_an_end_token_that_is_none_is_one_line(whole, ends):
    changed(whole / "generation_config.json", eos_token_id=ends)
    assert "generation_config.json: eos_token_id holds" in refused(whole)


def test_an_end_token_that_the_model_does_not_embed_is_refused(whole, tokenizer):
    changed(whole / "generation_config.json", eos_token_id=512)
    with pytest.raises(InputError, match="eos_token_id holds 512, which is no token's id"):
        refuse_unfit_base(str(whole), LoraMethod(), tokenizer)


def test_weight_files_that_are_missing_are_named(other):
    folder = other()
    index = {
        "metadata": {},
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"},
    }
    with open(f"{folder}/model.safetensors.index.json", "w") as file:
        json.dump(index, file)
    with pytest.raises(InputError, match="2 of its weight files are missing, first model-00001-of-00002.safetensors"):
        refuse_unfit_files(folder)


@pytest.mark.parametrize("cut", [lambda data: b"", lambda data: data[:5], lambda data: data[:40], lambda data: data[:-1],
                                 lambda data: data[:8] + b"x" * (len(data) - 8)])  # fmt: skip
def test_a_weight_file_that_is_cut_short_or_damaged_is_named(base, tmp_path, cut):
    folder = str(shutil.copytree(base, tmp_path / "model"))
    refuse_unfit_files(folder)
    weights = Path(folder) / "model.safetensors"
    weights.write_bytes(cut(weights.read_bytes()))
    with pytest.raises(InputError, match=r"model\.safetensors is cut short or damaged; copy or fetch it anew"):
        refuse_unfit_files(folder)


def test_a_tokenizer_without_a_chat_template_is_refused_by_its_files(whole):
    folder = str(whole)
    refuse_unfit_files(folder)
    for file in Path(folder).glob("*chat_template*"):
        file.unlink()
    with pytest.raises(InputError, match="tokenizer has no chat template; give an instruction-tuned model"):
        refuse_unfit_files(folder)
    settings = Path(folder) / "tokenizer_config.json"  # where older folders keep it
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"chat_template": CHAT_TEMPLATE}))
    refuse_unfit_files(folder)


def test_a_context_is_as_long_as_the_model_s_and_no_longer(base):
    refuse_long_context(str(base), 64)
    with pytest.raises(InputError, match=r"train\.max_tokens 65 is more than the 64 tokens"):
        refuse_long_context(str(base), 65)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"n_positions": 32}, 32),
        ({"text_config": None}, 0),
        ({"text_config": {"max_position_embeddings": 48}}, 48),
        ({}, 0),
    ],
)
def test_the_context_is_found_where_families_put_it_and_nothing_is_made_up(tmp_path, values, expected):
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert context_of(str(tmp_path)) == expected


@pytest.mark.parametrize("longest", ["abc", [1], -4, True])
def test_a_context_that_is_no_number_is_one_line(tmp_path, longest):
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": longest}))
    with pytest.raises(InputError, match=r"config\.json: max_position_embeddings must be a whole number from 1, not"):
        context_of(str(tmp_path))


def test_a_config_that_is_no_json_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: not a readable JSON file"):
        context_of(str(tmp_path))


def test_a_prompt_of_the_dev_exam_must_leave_room_for_the_answer(base, tokenizer):
    asked = [("q1", (Message(role="user", content="a"),)), ("q2", (Message(role="user", content="b" * 30),))]
    lengths = [len(tokenizer.apply_chat_template([{"role": "user", "content": m.content}], add_generation_prompt=True,
                                                 return_dict=False)) for _, (m,) in asked]  # fmt: skip
    refuse_long_prompts(asked, tokenizer, 64 - lengths[1], str(base))
    with pytest.raises(
        InputError, match=rf"question q2 \({lengths[1]} tokens\) and train\.dev_max_tokens {65 - lengths[1]} exceed"
    ):
        refuse_long_prompts(asked, tokenizer, 65 - lengths[1], str(base))


@pytest.mark.parametrize(
    ("fails", "said"), [("raise_exception('no system')", "TemplateError: no system"), ("1/0", "ZeroDivisionError: .*")]
)
def test_a_template_that_cannot_write_the_exam_is_refused(base, fails, said):
    strict = load_tokenizer(str(base))
    strict.chat_template = f"{{% if messages[0].role == 'system' %}}{{{{ {fails} }}}}{{% endif %}}" + CHAT_TEMPLATE
    asked = [("q", (Message(role="system", content="s"), Message(role="user", content="a")))]
    with pytest.raises(InputError, match=rf"can't write a prompt of the exam \({said}\)"):
        refuse_long_prompts(asked, strict, 1, str(base))


def test_the_reasons_are_counted_and_the_first_of_each_is_shown():
    lost = [Rejection(record_id=str(i), stage="train", reason=reason, evidence=evidence)
            for i, (reason, evidence) in enumerate([("too_long", "9 tokens"), ("no_assistant_turn", "roles: user"),
                                                    ("too_long", "8 tokens")])]  # fmt: skip
    assert reasons_of(lost) == "1 no_assistant_turn, e.g. roles: user; 2 too_long, e.g. 9 tokens"
    assert reasons_of([]) == "there is none"
