"""Dialogues to token ids and labels. The loss covers what the assistant says, on every turn, and its end token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metier.errors import InputError
from metier.inference.protocol import chat
from metier.records import Dialogue, Message

IGNORED = -100  # the label that torch's cross entropy leaves out


@dataclass(frozen=True)
class Example:
    """One encoded dialogue: `ids` and `labels` have the same length; a label is its id, or IGNORED."""

    ids: list[int]
    labels: list[int]


def encode(dialogue: Dialogue, tokenizer: Any) -> Example:
    """The dialogue as the model's own chat template writes it.

    Raises InputError when the template ends a turn with no end token, or when it writes a conversation's beginning
    differently once the conversation goes on (then no prompt could be trained).
    """
    ids = _ids(tokenizer, dialogue.messages)
    labels = [IGNORED] * len(ids)
    spoken = [i for i, m in enumerate(dialogue.messages) if m.role == "assistant"]
    for turn in spoken:
        before = _ids(tokenizer, dialogue.messages[:turn], answering=True)
        after = _ids(tokenizer, dialogue.messages[: turn + 1])
        if ids[: len(before)] != before or ids[: len(after)] != after:
            raise InputError(
                "the chat template rewrites earlier turns, so the trained prompt would not be the served one"
            )
        end = _end_of_turn(after, len(before), tokenizer)
        labels[len(before) : end] = ids[len(before) : end]
    return Example(ids, labels)


def _ids(tokenizer: Any, messages: Sequence[Message], answering: bool = False) -> list[int]:
    rendered = tokenizer.apply_chat_template(
        chat(messages), add_generation_prompt=answering, tokenize=True, return_dict=False
    )
    return list(rendered)


def _end_of_turn(ids: list[int], start: int, tokenizer: Any) -> int:
    """The place behind the end token of the turn that begins at `start`."""
    for place in range(len(ids) - 1, start - 1, -1):
        if ids[place] == tokenizer.eos_token_id:
            return place + 1
    raise InputError(
        f"the chat template ends the assistant's turn without {tokenizer.eos_token!r}: the model would never learn to stop"
    )
