"""The one prompt."""

from __future__ import annotations

from metier.records import Passage
from metier.retrieval.prompt import ABSTENTION, prompt_messages


def passage(text):
    return Passage(uri="u", title="t", section="", text=text, position=0)


def test_passages_are_numbered_before_the_question():
    messages = prompt_messages("Why?", [passage("first"), passage("second")])
    assert messages[-1].content == "[1] first\n\n[2] second\n\nQuestion: Why?"


def test_closed_book_is_the_bare_question():
    assert prompt_messages("Why?", ())[-1].content == "Why?"


def test_examples_are_earlier_turns():
    roles = [m.role for m in prompt_messages("Why?", (), examples=[("a", "b"), ("c", "d")])]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]


def test_the_model_is_told_how_to_abstain():
    assert ABSTENTION in prompt_messages("Why?", ())[0].content
