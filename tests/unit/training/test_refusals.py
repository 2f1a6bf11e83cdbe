from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

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


METHODS = (LoraMethod(), LoraMethod(dora=True, targets=("q_proj", "lm_head")), QloraMethod(), FullMethod())


@pytest.mark.parametrize("method", METHODS)
def test_a_sound_base_is_let_through_without_its_weights(other, tokenizer, method):
    refuse_unfit_base(other(), method, tokenizer)


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
        ({"auto_map": {"AutoConfig": "code.Config"}, "model_type": "own"}, "describes no model that is known here"),
    ],
)  # fmt: skip
def test_a_base_that_is_no_plain_causal_language_model_is_refused_in_one_line(other, tokenizer, values, said):
    with pytest.raises(InputError, match=said) as refused:
        refuse_unfit_base(other(**values), LoraMethod(), tokenizer)
    assert "\n" not in str(refused.value)


def test_quantised_weights_are_refused(other):
    with pytest.raises(InputError, match=r"quantised \(gptq\); train on the full-precision"):
        refuse_unfit_files(other(quantization_config={"quant_method": "gptq", "bits": 4}))


def test_weight_files_that_are_missing_are_named(other):
    folder = other()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
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


def test_a_tokenizer_without_a_chat_template_is_refused_by_its_files(other):
    folder = other()
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
    [({"n_positions": 32}, 32), ({"text_config": {"max_position_embeddings": 48}}, 48), ({}, 0)],
)
def test_the_context_is_found_where_families_put_it_and_nothing_is_made_up(tmp_path, values, expected):
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert context_of(str(tmp_path)) == expected


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


def test_a_template_that_cannot_write_the_exam_is_refused(base):
    strict = load_tokenizer(str(base))
    strict.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT_TEMPLATE
    )
    asked = [("q", (Message(role="system", content="s"), Message(role="user", content="a")))]
    with pytest.raises(InputError, match=r"can't write a prompt of the exam \(no system\)"):
        refuse_long_prompts(asked, strict, 1, str(base))


def test_the_reasons_are_counted_and_the_first_of_each_is_shown():
    lost = [Rejection(record_id=str(i), stage="train", reason=reason, evidence=evidence)
            for i, (reason, evidence) in enumerate([("too_long", "9 tokens"), ("no_assistant_turn", "roles: user"),
                                                    ("too_long", "8 tokens")])]  # fmt: skip
    assert reasons_of(lost) == "1 no_assistant_turn, e.g. roles: user; 2 too_long, e.g. 9 tokens"
    assert reasons_of([]) == "there is none"
