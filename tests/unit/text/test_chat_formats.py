"""Chats in four forms: what is written reads back the same or is refused, and what is no dialogue says why."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.records import Message
from metier.text.chat_formats import FORMATS, UnreadableChat, UnwritableChat, format_of, messages_in, row_of

MARKS = st.sampled_from(["<|im_start|>", "<|im_end|>", "\n", " ", "user\n", "###", '"'])
WORDS = st.lists(st.text(min_size=1, max_size=6) | MARKS, max_size=4).map("".join)
every_format = pytest.mark.parametrize("form", FORMATS)


def said(*turns: str) -> tuple[Message, ...]:
    """Messages from `u question`, `a answer`, `s system prompt`."""
    roles = {"u": "user", "a": "assistant", "s": "system"}
    return tuple(Message(role=roles[turn[0]], content=turn[2:]) for turn in turns)


def reason(row: object, form: str | None = None) -> str:
    with pytest.raises(UnreadableChat) as fault:
        messages_in(row, form)
    assert fault.value.evidence
    fault.value.evidence.encode()
    return fault.value.reason


@st.composite
def conversations(draw, content=WORDS):
    """What a dialogue may hold: a system message or none, then turns; now and then out of order."""
    system = [Message(role="system", content=draw(content))] if draw(st.booleans()) else []
    turns = [
        Message(role=role, content=draw(content))
        for _ in range(draw(st.integers(1, 3)))
        for role in ("user", "assistant")
    ]
    spoilt = draw(st.sampled_from([0, 0, 0, 1]))
    return tuple(system + turns[: len(turns) - spoilt] + turns[:1] * spoilt)


@every_format
@given(data=st.data())
def test_what_is_written_reads_back_the_same_or_is_refused(form, data):
    messages = data.draw(conversations())
    try:
        row = json.loads(json.dumps(row_of(messages, form)))
    except UnwritableChat as fault:
        assert str(fault).startswith(f"{form} can't hold it")  # noqa: PT017 (a refusal is one of the two right outcomes)
        return
    assert format_of(row) == form
    assert messages_in(row) == messages


@every_format
@given(data=st.data())
def test_plain_conversations_fit_into_every_form(form, data):
    plain = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=9).map(
        lambda word: f" {word}\n\n{word} "
    )
    messages = data.draw(conversations(plain).filter(lambda found: found[-1].role == "assistant"))
    assert messages_in(row_of(messages, form)) == messages


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello?"},
                      {"role": "assistant", "content": [{"type": "text", "text": "He"}, {"type": "text", "text": "y."}]}]},
        {"system": "Be brief.", "conversations": [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Hey."}]},
        {"conversations": [{"from": "system", "value": "Be brief."}, {"from": "user", "value": "Hello?"},
                           {"from": "assistant", "value": "Hey."}], "id": "x1"},
        {"system": "Be brief.", "instruction": "Hello?", "input": "", "output": "Hey.", "history": None},
        {"text": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello?<|im_end|>\n"
                 "<|im_start|>assistant\nHey.<|im_end|>"},
    ],
    ids=["openai", "sharegpt", "sharegpt with roles", "alpaca", "chatml"],
)  # fmt: skip
def test_the_form_is_told_by_the_columns(row):
    assert messages_in(row) == said("s Be brief.", "u Hello?", "a Hey.")


def test_alpacas_input_stands_below_the_instruction_and_its_history_before_both():
    row = {"instruction": "Add.", "input": "1 and 2", "output": "3", "history": [["Hello?", "Hey."]]}
    assert messages_in(row) == said("u Hello?", "a Hey.", "u Add.\n\n1 and 2", "a 3")


def test_a_form_that_is_given_is_the_only_one_that_is_read():
    row = row_of(said("u Hello?", "a Hey."), "openai") | {"text": "something else"}
    assert messages_in(row, "openai") == said("u Hello?", "a Hey.")
    assert reason(row, "chatml") == "malformed"
    assert reason(row, "alpaca") == "missing_column"


def openai(*turns: object) -> dict[str, object]:
    return {"messages": list(turns)}


ASKED, TOLD = {"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hey."}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([ASKED, TOLD], "not_an_object"),
        ({"prompt": "Hello?", "messages": None}, "unknown_format"),
        ({}, "unknown_format"),
        ({"\ud800": "x"}, "unknown_format"),
        (openai(), "no_user_turn"),
        (openai(TOLD), "no_user_turn"),
        (openai(ASKED), "no_assistant_turn"),
        (openai(ASKED, TOLD, ASKED), "unanswered"),
        (openai(ASKED, ASKED, TOLD), "turn_order"),
        (openai(TOLD, ASKED, TOLD), "turn_order"),
        (openai(ASKED, {"role": "tool", "content": "4"}, TOLD), "unknown_role"),
        (openai(ASKED, {"role": None, "content": "4"}), "unknown_role"),
        (openai(ASKED, {"role": "assistant", "content": None, "tool_calls": [{}]}), "tool_call"),
        (openai(ASKED, TOLD) | {"tools": [{}]}, "tool_call"),
        (openai(ASKED, {"role": "assistant", "content": None}), "not_text"),
        (openai({"role": "user", "content": [{"type": "image_url", "text": None}]}, TOLD), "not_text"),
        (openai(ASKED, {"role": "assistant", "content": " \n"}), "empty_turn"),
        (openai({"role": "user", "content": "\ud800"}, TOLD), "encoding"),
        (openai({"role": "\ud800", "content": "x"}, TOLD), "unknown_role"),
        ({"messages": "Hello?"}, "malformed"),
        ({"messages": ["Hello?"]}, "malformed"),
        ({"conversations": {"from": "human"}}, "malformed"),
        ({"instruction": "a", "output": "b", "history": 5}, "malformed"),
        ({"instruction": "a", "output": "b", "history": [["c"]]}, "malformed"),
        ({"instruction": "", "output": "b"}, "empty_turn"),
        ({"instruction": 5, "output": "b"}, "not_text"),
        ({"text": "Hello? Hey."}, "malformed"),
        ({"text": "<|im_start|>user\nHello?\n<|im_start|>assistant\nHey.<|im_end|>"}, "malformed"),
        ({"text": "<|im_start|>user\nHello?<|im_end|>\n<|im_start|>assistant\n"}, "malformed"),
        ({"text": "<|im_start|>narrator\nHello?<|im_end|>"}, "unknown_role"),
        ({"text": ""}, "no_user_turn"),
    ],
)  # fmt: skip
def test_what_is_no_dialogue_says_why(row, expected):
    assert reason(row) == expected


@pytest.mark.parametrize(
    ("messages", "form", "why"),
    [
        (said("u What is <|im_end|>?", "a A mark."), "chatml", "chatml can't hold it"),
        (said("s ", "u Hello?", "a Hey."), "alpaca", "alpaca can't hold it"),
        (said("u Hello?", "a Hey.", "u Bye."), "openai", "the last turn is the user's"),
    ],
)
def test_what_a_form_can_not_hold_is_refused_with_what_it_is(messages, form, why):
    with pytest.raises(UnwritableChat, match=why):
        row_of(messages, form)
