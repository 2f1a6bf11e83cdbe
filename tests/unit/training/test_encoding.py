from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import event, given, settings
from hypothesis import example as given_example
from hypothesis import strategies as st

from metier.errors import InputError
from metier.inference.protocol import chat
from metier.inference.transformers_engine import load_tokenizer, prompt_ids
from metier.text.chat_formats import UnreadableChat
from metier.training.encoding import IGNORED, Example, encode, encoded, end_tokens, refuse_endless
from metier.training.packs import alone, packed, padded
from metier.training.rows import row_of
from tests.fixtures.chat_templates import CONVERSATIONS, LLAMA3, LLAMA3_TOKENS, conversation, templates
from tests.fixtures.tiny_model import CHAT_TEMPLATE, make_tiny_model
from tests.fixtures.training_job import tiny_dialogues

TEXTS = ["The limit is 100 units.\n\n\nA line.\n\n\n\n", "Which limit holds?", "Answer briefly."]
TWO_TURNS = conversation("Which limit holds?", "100 units.", "Who says so?", "The rule.", system="Answer briefly.")
ENDS = {"chatml": "<|im_end|>", "marked": "<|im_end|>", "smollm2": "<|im_end|>", "llama3": "<|eot_id|>"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), TEXTS, special=LLAMA3_TOKENS)


@pytest.fixture(scope="module")
def tokenizers(folder):
    """A tokenizer for each family's template. It puts a token before every text by itself, as Llama-3's does."""
    made = {}
    for name, template in templates().items():
        made[name] = load_tokenizer(str(folder))
        made[name].chat_template, made[name].eos_token = template, ENDS[name]
    return made


@pytest.fixture
def tokenizer(tokenizers):
    return tokenizers["chatml"]


@pytest.fixture
def changed(tokenizer):
    """The tokenizer with another chat template, for one test."""

    def with_template(template: str):
        tokenizer.chat_template = template
        return tokenizer

    yield with_template
    tokenizer.chat_template = CHAT_TEMPLATE


def spans(labels: list[int]) -> list[list[int]]:
    """The runs of labels, each as the ids that it holds."""
    found: list[list[int]] = [[]]
    for label in labels:
        if label != IGNORED:
            found[-1].append(label)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


def spoken(dialogue, name: str) -> list[str]:
    """What each label span must read: the assistant's words as the template writes them, and the end token."""
    said = [m.content for m in dialogue.messages if m.role == "assistant"]
    return [(text.strip() if name == "llama3" else text) + ENDS[name] for text in said]


BOTH = [(t, c) for t in ENDS for c in CONVERSATIONS]


@pytest.mark.parametrize(("name", "which"), BOTH)
def test_labels_are_the_assistants_words_and_the_end_token_of_each_turn_and_nothing_else(tokenizers, name, which):
    tokenizer, dialogue = tokenizers[name], CONVERSATIONS[which]
    example = encode(dialogue, tokenizer)
    assert [tokenizer.decode(run) for run in spans(example.labels)] == spoken(dialogue, name)
    assert all(label in (IGNORED, token) for label, token in zip(example.labels, example.ids, strict=True))


@pytest.mark.parametrize(("name", "which"), BOTH)
def test_each_turn_is_trained_behind_the_prompt_that_an_engine_reads(tokenizers, name, which):
    tokenizer, dialogue = tokenizers[name], CONVERSATIONS[which]
    example = encode(dialogue, tokenizer)
    starts = [i for i, label in enumerate(example.labels) if label != IGNORED and example.labels[i - 1] == IGNORED]
    turns = [i for i, m in enumerate(dialogue.messages) if m.role == "assistant"]
    assert [example.ids[:start] for start in starts] == [prompt_ids(tokenizer, dialogue.messages[:t]) for t in turns]


@pytest.mark.parametrize("which", CONVERSATIONS)
def test_marks_in_a_template_change_no_token_and_no_label(tokenizers, which):
    assert encode(CONVERSATIONS[which], tokenizers["marked"]) == encode(CONVERSATIONS[which], tokenizers["chatml"])


def test_a_text_begins_once_though_template_and_tokenizer_both_would_begin_it(tokenizers):
    tokenizer = tokenizers["llama3"]
    first = tokenizer.convert_tokens_to_ids(LLAMA3_TOKENS[0])
    assert tokenizer("a").input_ids[0] == first
    assert encode(TWO_TURNS, tokenizer).ids.count(first) == 1
    assert first not in encode(TWO_TURNS, tokenizers["chatml"]).ids


def trained(batch) -> list[tuple[int, int]]:
    """What the loss of a batch looks at: (the token before, the label), in order of value."""
    ids, labels = batch["input_ids"], batch["labels"]
    places = (labels[:, 1:] != IGNORED).nonzero().tolist()
    return sorted((int(ids[row, place]), int(labels[row, place + 1])) for row, place in places)


@pytest.mark.parametrize("name", ENDS)
def test_both_shapes_of_packs_train_the_same_tokens_as_examples_alone(tokenizers, name):
    asked = "Which limit holds in each of the branches that the rule names, and since when does it hold there?"
    alike = [conversation(asked, a, "Why?", b, system="Answer briefly.") for a, b in (("1.", "x"), ("12.", "y z"))]
    examples = [encode(d, tokenizers[name]) for d in (*alike, *CONVERSATIONS.values())]
    packs = packed(examples, 2000)
    assert any(len(pack.examples) == 2 for pack in packs)
    expected = sorted(
        (before, label)
        for e in examples
        for before, label in zip(e.ids, e.labels[1:], strict=False)
        if label != IGNORED
    )
    for batch in (padded(packs, 2, "cpu"), padded(alone(examples), 2, "cpu"), row_of(packs, "cpu")):
        assert trained(batch) == expected


def test_the_tokens_are_those_of_the_chat_template(tokenizer):
    whole = tokenizer.apply_chat_template(chat(TWO_TURNS.messages), tokenize=True, return_dict=False)
    assert encode(TWO_TURNS, tokenizer).ids == list(whole)


@pytest.mark.parametrize("name", ["chatml", "llama3"])
@given(asked=st.text(min_size=1), said=st.text(min_size=1))
@given_example(asked="\n\n", said="\n\n\n a \n")
@settings(max_examples=40)
def test_any_words_are_trained_behind_the_served_prompt_or_refused(tokenizers, name, asked, said):
    tokenizer, dialogue = tokenizers[name], conversation(asked, said)
    try:
        example = encode(dialogue, tokenizer)
    except UnreadableChat as fault:
        refused = fault.reason
        event(refused)
    else:
        refused = ""
    assert refused in ("", "merged_tokens", "control_token")
    if refused:
        return
    prompt = prompt_ids(tokenizer, dialogue.messages[:1])
    assert example.ids[: len(prompt)] == prompt
    (labelled,) = spans(example.labels)
    assert [tokenizer.decode(labelled)] == [
        tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) for text in spoken(dialogue, name)
    ]


@pytest.mark.parametrize("spelt", ["<|im_end|>", "<|im_start|>user", "<|eot_id|>", "<|endoftext|>"])
def test_an_answer_that_spells_a_control_token_is_refused_by_itself(tokenizer, spelt):
    with pytest.raises(UnreadableChat, match=r"control_token.*spells <\|"):
        encode(conversation("What ends a turn?", f"It is {spelt}, then."), tokenizer)


def test_an_answer_whose_first_characters_merge_with_the_template_is_refused_by_itself(tokenizers):
    dialogue = conversation("Which limit holds?", "\n\n\n100 units.")
    with pytest.raises(UnreadableChat, match=r"merged_tokens.*'\\n\\n\\n100 units.'"):
        encode(dialogue, tokenizers["chatml"])
    assert encode(dialogue, tokenizers["llama3"])  # its template trims


def test_what_the_template_itself_refuses_is_told_in_its_words(changed):
    strict = changed(
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT_TEMPLATE
    )
    assert encode(CONVERSATIONS["one turn"], strict)
    with pytest.raises(UnreadableChat, match="refused_by_template: no system"):
        encode(TWO_TURNS, strict)


def test_a_template_without_an_end_token_is_refused(changed):
    endless = changed(CHAT_TEMPLATE.replace("<|im_end|>", ""))
    with pytest.raises(InputError, match="without '<|im_end|>': the model would never learn to stop"):
        encode(TWO_TURNS, endless)


def test_whether_a_template_ends_a_turn_is_known_without_any_data(changed):
    endless = CHAT_TEMPLATE.replace("<|im_end|>", "")
    only = "{% if (messages[0].role == 'system') is SAME %}{{ raise_exception('not so') }}{% endif %}" + CHAT_TEMPLATE
    refuse_endless(changed(CHAT_TEMPLATE), ())
    for same in ("true", "false"):  # without a system message alone, or with one alone
        refuse_endless(changed(only.replace("SAME", same)), ())
    with pytest.raises(InputError, match="never learn to stop"):
        refuse_endless(changed(endless), ())


def test_a_template_that_writes_no_exchange_at_all_is_refused_without_any_data(changed):
    with pytest.raises(
        InputError, match=r"model\d*: the chat template writes no exchange of .* \(tools only\); give a base"
    ):
        refuse_endless(changed("{{ raise_exception('tools only') }}"), ())


@pytest.mark.parametrize("broken", ["{{ messages[0]['content'] + 1 }}", "{{ 1/0 }}", "{% include 'x' %}",
                                    "{% for i in range(10**9) %}{% endfor %}"])  # fmt: skip
def test_a_template_that_fails_as_a_program_is_one_line(changed, broken):
    with pytest.raises(InputError, match=r"^base .*: the chat template fails \(\w+Error: .*\); mend it$"):
        encode(TWO_TURNS, changed(broken + CHAT_TEMPLATE))


def test_a_template_that_writes_the_day_makes_the_same_tokens_tomorrow(changed):
    dated = changed("{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %}" + CHAT_TEMPLATE)
    dialogue = tiny_dialogues(1)[0]
    assert dated.decode(encode(dialogue, dated).ids).startswith("01 Jan 2026")
    asked = prompt_ids(dated, dialogue.messages[:-1])
    assert encode(dialogue, dated).ids[: len(asked)] == asked


def test_a_template_that_is_none_is_refused_with_its_line(changed):
    with pytest.raises(InputError, match="the chat template is no valid template, line 2: "):
        encode(TWO_TURNS, changed("{# a remark #}\n{% for %}"))


def test_an_end_token_of_an_earlier_turn_is_not_taken_for_the_assistants(changed):
    only_others = CHAT_TEMPLATE.replace("<|im_end|>", "{% if message['role'] != 'assistant' %}<|im_end|>{% endif %}")
    with pytest.raises(InputError, match="never learn to stop"):
        encode(TWO_TURNS, changed(only_others))


def test_a_template_that_rewrites_earlier_turns_is_refused(changed):
    counting = changed("{{ messages | length }}" + CHAT_TEMPLATE)
    with pytest.raises(InputError, match="rewrites earlier turns"):
        encode(TWO_TURNS, counting)


def test_a_turn_may_end_with_another_token_than_a_text(folder, tokenizers, changed, tmp_path):
    """As Gemma's and Phi's do: their generation settings name it."""
    other = changed(LLAMA3)
    with pytest.raises(InputError, match="never learn to stop"):
        encode(TWO_TURNS, other)
    turn, text = (other.convert_tokens_to_ids(t) for t in ("<|eot_id|>", "<|im_end|>"))
    for named, file in ((turn, "config.json"), ([turn, 0], "generation_config.json")):
        (tmp_path / file).write_text(json.dumps({"eos_token_id": named}))
        assert end_tokens(str(tmp_path), other) == {turn, text} | ({0} if isinstance(named, list) else set())
        example: Example = encode(TWO_TURNS, other, end_tokens(str(tmp_path), other))
        assert example == encode(TWO_TURNS, tokenizers["llama3"])


def test_generation_settings_that_name_no_end_leave_it_to_the_models(tokenizer, tmp_path):
    (tmp_path / "generation_config.json").write_text(json.dumps({"max_length": 9}))
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 7}))
    assert end_tokens(str(tmp_path), tokenizer) == {tokenizer.eos_token_id, 7}


def test_only_the_first_end_token_behind_an_answer_is_learnt(changed):
    twice = changed(CHAT_TEMPLATE.replace("<|im_end|>", "<|im_end|><|endoftext|>"))
    example = encode(dataclasses.replace(TWO_TURNS, id=""), twice, (0, 2))
    assert [twice.decode(run) for run in spans(example.labels)] == ["100 units.<|im_end|>", "The rule.<|im_end|>"]


def test_a_dialogue_that_no_template_can_write_or_that_is_too_long_is_rejected(folder):
    good, long = tiny_dialogues(2)
    question, answer = good.messages[-2:]
    odd = [
        dataclasses.replace(good, id="", messages=turns) for turns in ((answer, question), (answer, question, answer))
    ]
    long = dataclasses.replace(long, id="", messages=(question, dataclasses.replace(answer, content="A word. " * 1000)))
    examples, kept, lost = encoded([good, *odd, long], load_tokenizer(str(folder)), 1000)
    assert (len(examples), kept) == (1, [good])
    reasons = [(odd[0].id, "unanswered"), (odd[1].id, "turn_order"), (long.id, "too_long")]
    assert [(one.record_id, one.reason) for one in lost] == reasons
