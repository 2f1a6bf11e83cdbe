"""Faults of form, each with what must pass beside what must not."""

from __future__ import annotations

import pytest

from metier.text.quality import broken_encoding, refusal, repeated_lines, repetition, unanswered


@pytest.mark.parametrize(
    "text",
    [
        "As an AI language model, I have no access.",
        "as an AI assistant I would say",
        "I'm sorry, but I can't assist with that.",
        "I cannot help with this request.",
        "I am an AI and have no opinion.",
    ],
)
def test_a_refusal_is_seen(text):
    assert refusal(text)


@pytest.mark.parametrize(
    "text", ["Serve it as an air-gapped model.", "The worker can't connect.", "It fails as an AIStudio job."]
)
def test_technical_prose_is_no_refusal(text):
    assert refusal(text) == ""


@pytest.mark.parametrize("text", ["caf\ufffd", "cafÃ©", "it\u00e2\u20ac\u2122s", "a\x00b", "5Â\u00a0km"])
def test_broken_encodings_are_seen(text):
    assert broken_encoding(text)


@pytest.mark.parametrize("text", ["café, naïve, São Paulo", "a\tb\nc", "Å, Â, Ã and €", "日本語"])
def test_sound_text_of_any_language_passes(text):
    assert broken_encoding(text) == ""


def test_a_loop_is_seen_and_a_list_is_not():
    assert "'the value is' 5 times" in repetition("the value is " * 5)
    prose = " ".join(
        f"Then step {i} of the long plan reads and writes many other words such as w{i}." for i in range(6)
    )
    assert repetition(prose) == ""
    assert repetition("Short.") == ""


@pytest.mark.parametrize(
    ("question", "answer", "why"),
    [
        ("What does `f` do?", "What does f do", "repeats"),
        ("What does `f` do?", "Which f do you mean?", "is a question"),
        ('What is the type? Answer as a JSON object with the key "type".', "int", "JSON"),
        ("How many rows does it take?", "It takes rows from the data set.", "number"),
    ],
)
def test_what_misses_the_question_is_told(question, answer, why):
    assert why in unanswered(question, answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is it a or b?", "a"),
        ("What does it check?", "It asks: is the cluster up?"),
        ("Answer as JSON.", '```json\n{"a": 1}\n```'),
        ("How do I write a JSON file?", "Call write_json."),
        ("How many rows?", "Three."),
        ("How many workers does it start?", "As many as there are CPUs."),
    ],
)
def test_what_answers_passes(question, answer):
    assert unanswered(question, answer) == ""


def test_lines_that_come_again_and_again_are_named():
    line = "The reserve is kept in two currencies.\n"
    assert repeated_lines(line * 3 + "Another line is here.") == "'the reserve is kept in two currencies' 3 times"
    assert repeated_lines(line + "Another line is here, and a third one after it.") == ""
    assert repeated_lines(f"```\n{line * 9}```\nIt prints this.") == ""
    assert repeated_lines("") == ""
