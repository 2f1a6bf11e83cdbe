"""The chat request: what is understood, what is refused with which words, and the prompt that goes to the engine."""

import json

import pytest

from metier.records import Passage
from metier.retrieval.prompt import prompt_messages
from metier.serving.chat import Ask, Limits, RequestError, citations, engine_body, event, refusal, understood

LIMITS = Limits(model="tiny", max_messages=5, max_tokens=64, max_answer_tokens=128)
USER = {"role": "user", "content": "What is a ledger?"}
PASSAGES = [Passage(uri=f"{n}.md", title=n, section="", text=f"The {n} rule.\n  Kept.", position=0) for n in ("a", "b")]


def body(**changes: object) -> bytes:
    return json.dumps({"model": "tiny", "messages": [USER]} | changes).encode()


def refused(raw: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        understood(raw, LIMITS)
    assert "\n" not in caught.value.message
    return caught.value


def test_a_plain_question_is_answered_as_in_the_exam():
    ask = understood(body(), LIMITS)
    assert ask == Ask("What is a ledger?", (), True, False, False, {"max_tokens": 64, "temperature": 0.0})


def test_earlier_turns_are_kept_in_order():
    talk = [
        USER,
        {"role": "assistant", "content": "A book."},
        {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
    ]
    ask = understood(body(messages=talk), LIMITS)
    assert (ask.question, ask.turns) == ("Why?", (("What is a ledger?", "A book."),))
    sent = engine_body(ask, PASSAGES, "tiny")["messages"]
    assert sent == [
        {"role": m.role, "content": m.content} for m in prompt_messages("Why?", PASSAGES, examples=ask.turns)
    ]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "user"]


def test_settings_of_the_request_reach_the_engine():
    raw = body(max_completion_tokens=9, temperature=0.5, top_p=0.9, seed=3, stop="x", stream=True,
               stream_options={"include_usage": True}, metier={"retrieve": False})  # fmt: skip
    ask = understood(raw, LIMITS)
    assert not ask.retrieve
    sent = engine_body(ask, [], "tiny")
    wanted = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ["x"], "stream": True}
    assert wanted.items() <= sent.items()
    assert sent["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("raw", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "body"),
        (body(messages=[]), 400, "messages"),
        (body(model="gpt-4"), 404, "'tiny' is"),
        (body(tools=[]), 400, "tools: not supported"),
        (body(n=2), 400, "n:"),
        (body(max_tokens=129), 400, "at most 128"),
        (body(max_tokens=0), 400, "max_tokens"),
        (body(temperature=3), 400, "temperature"),
        (body(stop=[""]), 400, "stop"),
        (body(messages=[{"role": "system", "content": "x"}, USER]), 400, "the system prompt belongs to the release"),
        (body(messages=[USER, USER]), 400, "take turns"),
        (body(messages=[USER, {"role": "assistant", "content": "x"}]), 400, "last message must be the user's"),
        (body(messages=[{"role": "user", "content": "  "}]), 400, "empty"),
        (body(messages=[USER, {"role": "assistant", "content": "x"}] * 3), 400, "at most 5"),
        (body(messages=[{"role": "user", "content": [{"type": "image_url", "text": "x"}]}]), 400, "messages.0.content"),
        (body(metier={"retreive": False}), 400, "metier.retreive"),
    ],
)
def test_what_is_refused_is_said_in_one_line(raw, status, words):
    error = refused(raw)
    assert error.status == status
    assert words in error.message
    assert error.body()["error"]["type"] == "invalid_request_error"


def test_citations_carry_the_text_to_the_letter():
    assert [(c["number"], c["text"], c["passage_id"]) for c in citations(PASSAGES)] == [
        (1, PASSAGES[0].text, PASSAGES[0].id),
        (2, PASSAGES[1].text, PASSAGES[1].id),
    ]


def test_the_engines_own_refusal_is_passed_on_and_its_failure_is_not():
    assert refusal({"choices": []}) is None
    long = refusal({"error": {"message": "too long\nmore", "code": 400, "param": None}})
    assert (long.status, long.message) == (400, "too long")
    broken = refusal({"error": {"message": "Traceback /secret/path", "code": 500}})
    assert broken.status == 500
    assert "secret" not in json.dumps(broken.body())


def test_an_event_is_one_line_of_json():
    assert event({"a": "é\n"}) == 'data: {"a": "é\\n"}\n\n'
