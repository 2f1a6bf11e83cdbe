"""The one prompt. Training, the exam and serving call this function, so that what was trained is what is served."""

from __future__ import annotations

from collections.abc import Sequence

from metier.records import Message, Passage

ABSTENTION = "The documentation I have does not say."
"""How an unanswerable question is answered: one fixed sentence, so that people and programs recognise it."""

SYSTEM = (
    "Answer the question briefly and exactly, from the passages where passages are given. "
    f'If the answer is not there and you do not know it, reply: "{ABSTENTION}"'
)


BEFORE_QUESTION = "\n\nQuestion: "


def prompt_messages(
    question: str, passages: Sequence[Passage], *, examples: Sequence[tuple[str, str]] = ()
) -> tuple[Message, ...]:
    """System, examples as earlier turns of (question, answer), and the question behind its numbered passages.

    Without passages the question is closed-book.
    """
    messages = [Message(role="system", content=SYSTEM)]
    for asked, answered in examples:
        messages += [Message(role="user", content=asked), Message(role="assistant", content=answered)]
    context = "\n\n".join(f"[{number}] {passage.text}" for number, passage in enumerate(passages, 1))
    content = f"{context}{BEFORE_QUESTION}{question}" if passages else question
    return (*messages, Message(role="user", content=content))


def asked(content: str) -> str:
    """The question of a user's turn, without the passages before it."""
    return content.rpartition(BEFORE_QUESTION)[2]
