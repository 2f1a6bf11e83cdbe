from __future__ import annotations

import pytest

from metier.errors import InputError
from metier.inference.protocol import chat
from metier.inference.transformers_engine import load_tokenizer
from metier.records import Dialogue, Message
from metier.training.encoding import IGNORED, encode
from tests.fixtures.tiny_model import CHAT_TEMPLATE, make_tiny_model

TEXTS = ["The limit is 100 units.", "Which limit holds?", "Answer briefly."]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(str(make_tiny_model(tmp_path_factory.mktemp("model"), TEXTS)))


@pytest.fixture
def changed(tokenizer):
    """The tokenizer with another chat template, for one test."""

    def with_template(template: str):
        tokenizer.chat_template = template
        return tokenizer

    yield with_template
    tokenizer.chat_template = CHAT_TEMPLATE


def dialogue(*turns: tuple[str, str]) -> Dialogue:
    messages = tuple(Message(role=role, content=text) for role, text in turns)
    return Dialogue(messages=messages, task="purpose", source="structured")


TWO_TURNS = dialogue(
    ("system", "Answer briefly."),
    ("user", "Which limit holds?"),
    ("assistant", "100 units."),
    ("user", "Who says so?"),
    ("assistant", "The rule."),
)


def test_the_tokens_are_those_of_the_chat_template(tokenizer):
    whole = tokenizer.apply_chat_template(chat(TWO_TURNS.messages), tokenize=True, return_dict=False)
    assert encode(TWO_TURNS, tokenizer).ids == list(whole)


def test_only_what_the_assistant_says_and_its_end_token_carry_labels(tokenizer):
    example = encode(TWO_TURNS, tokenizer)
    labelled = [label for label in example.labels if label != IGNORED]
    assert tokenizer.decode(labelled) == "100 units.<|im_end|>The rule.<|im_end|>"
    assert all(label in (IGNORED, token) for label, token in zip(example.labels, example.ids, strict=True))


def test_a_template_without_an_end_token_is_refused(changed):
    endless = changed(CHAT_TEMPLATE.replace("<|im_end|>", ""))
    with pytest.raises(InputError, match="never learn to stop"):
        encode(TWO_TURNS, endless)


def test_an_end_token_of_an_earlier_turn_is_not_taken_for_the_assistants(changed):
    only_others = CHAT_TEMPLATE.replace("<|im_end|>", "{% if message['role'] != 'assistant' %}<|im_end|>{% endif %}")
    with pytest.raises(InputError, match="never learn to stop"):
        encode(TWO_TURNS, changed(only_others))


def test_a_template_that_rewrites_earlier_turns_is_refused(changed):
    counting = changed("{{ messages | length }}" + CHAT_TEMPLATE)
    with pytest.raises(InputError, match="rewrites earlier turns"):
        encode(TWO_TURNS, counting)
