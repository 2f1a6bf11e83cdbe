from __future__ import annotations

import dataclasses

import pytest

from metier.inference.templates import JUDGEMENTS, PASSAGE_QUESTION, SENTENCE_QUESTION, TEMPLATES, template


def test_the_settled_name_changes_with_the_words():
    reworded = dataclasses.replace(PASSAGE_QUESTION, system="Write questions.")
    assert reworded.settled != PASSAGE_QUESTION.settled
    assert PASSAGE_QUESTION.settled.startswith("passage-question@")


def test_a_template_is_found_by_name_and_by_its_own_digest_only():
    assert template("passage-question") is template(PASSAGE_QUESTION.settled)
    with pytest.raises(ValueError, match="another wording"):
        template("passage-question@00000000")
    with pytest.raises(ValueError, match="passage-question"):
        template("passage-qestion")
    with pytest.raises(ValueError, match="there are: contradiction"):
        template("passage-question", JUDGEMENTS)


def test_the_passage_stands_in_the_last_turn_even_with_braces():
    messages = PASSAGE_QUESTION.messages("f(x={})")
    assert messages[-1].role == "user"
    assert "f(x={})" in messages[-1].content
    assert [m.role for m in messages[:3]] == ["system", "user", "assistant"]


@pytest.mark.parametrize(
    "text",
    [
        "Question: What does it do",  # no answer
        "Question: What does it do?\nAnswer:",
        "What does it do?\nIt adds.",
        "Sure! Question: What does it do?\nAnswer: It adds.",
        "Question: What does it do?\nAnswer: It adds.\nQuestion: What else does it do?\nAnswer: No more.",
        "Question: It adds two numbers.\nAnswer: It adds.",  # asks nothing
    ],
)
def test_only_the_exact_form_is_taken(text):
    assert PASSAGE_QUESTION.parsed(text) is None


def test_the_parts_are_taken_out():
    assert PASSAGE_QUESTION.parsed(" Question: What does `f` do?\nAnswer: It adds two numbers. ") == {
        "question": "What does `f` do?",
        "answer": "It adds two numbers.",
    }


@pytest.mark.parametrize("one", (TEMPLATES | JUDGEMENTS).values(), ids=TEMPLATES | JUDGEMENTS)
def test_the_worked_examples_keep_the_form_that_they_teach(one):
    for passage, given, reply in one.turns:
        assert one.parsed(reply)
        assert given in passage
        assert bool(given) == one.gives_answer


def test_a_given_answer_stands_in_the_prompt():
    messages = SENTENCE_QUESTION.messages("It adds. It holds {given}.", "It adds.")
    assert messages[-1].content.count("It adds.") == 2
    assert "It holds {given}." in messages[-1].content
    assert SENTENCE_QUESTION.parsed("Question: What does it do to two numbers?") == {
        "question": "What does it do to two numbers?"
    }
