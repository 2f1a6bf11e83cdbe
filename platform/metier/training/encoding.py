"""Dialogues to token ids and labels. The loss covers what the assistant says, on every turn, and its end token.

A turn is trained behind the very tokens that the served model reads before it. A dialogue whose words do not allow that is
refused by itself (UnreadableChat); a template that never does is refused as a whole (InputError).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from metier.errors import InputError
from metier.inference.protocol import chat, written_day
from metier.records import Dialogue, Message, Rejection, rejection
from metier.text.chat_formats import UnreadableChat, refuse_unfit
from metier.training.base_files import end_ids

STAGE, TOO_LONG, REFUSED = "train", "too_long", "refused_by_template"  # of a rejection
IGNORED = -100  # the label that torch's cross entropy leaves out
SHOWN, SAID = 24, 160  # characters of a turn, and of another's message, in a message of ours


@dataclass(frozen=True)
class Example:
    """One encoded dialogue: `ids` and `labels` have the same length; a label is its id, or IGNORED."""

    ids: list[int]
    labels: list[int]


def end_tokens(folder: str, tokenizer: Any) -> frozenset[int]:
    """The tokens at which the served model stops: those of its generation settings, and the tokenizer's end token.

    They need not be one: Gemma's template ends a turn with another token than the tokenizer ends a text.
    """
    return frozenset({tokenizer.eos_token_id, *end_ids(folder)} - {None})


def encoded(
    dialogues: Iterable[Dialogue], tokenizer: Any, max_tokens: int, ends: Collection[int] = ()
) -> tuple[list[Example], list[Dialogue], list[Rejection]]:
    """Examples, the dialogues that became one, and those that no template can write or that are too long. `ends`: what may
    end a turn (end_tokens)."""
    examples, kept, lost = [], [], []
    for one in dialogues:
        try:
            refuse_unfit(one.messages)
            example = encode(one, tokenizer, ends)
        except UnreadableChat as fault:
            lost.append(rejection(one, STAGE, fault.reason, fault.evidence))
            continue
        if len(example.ids) > max_tokens:
            lost.append(rejection(one, STAGE, TOO_LONG, f"{len(example.ids)} tokens"))
        else:
            examples.append(example)
            kept.append(one)
    return examples, kept, lost


def encode(dialogue: Dialogue, tokenizer: Any, ends: Collection[int] = ()) -> Example:
    """The dialogue as the model's own chat template writes it. `ends` (end_tokens): what may end a turn; by itself the
    tokenizer's end token.

    Raises UnreadableChat where an answer spells a control token, or where text and template make one token together.
    Raises InputError when the template ends a turn with no end token, or when it writes a conversation's beginning
    differently once the conversation goes on (then no prompt could be trained).
    """
    ends = frozenset(ends or {tokenizer.eos_token_id}) - {None}
    ids = _ids(tokenizer, dialogue.messages)
    labels = [IGNORED] * len(ids)
    for turn, message in enumerate(dialogue.messages):
        if message.role != "assistant":
            continue
        _refuse_control_tokens(message.content, tokenizer)
        before = _ids(tokenizer, dialogue.messages[:turn], answering=True)
        after = _ids(tokenizer, dialogue.messages[: turn + 1])
        if ids[: len(before)] != before or ids[: len(after)] != after:
            _refuse_other_beginning(dialogue.messages, turn, tokenizer)
        end = _end_of_turn(after, len(before), ends, tokenizer)
        labels[len(before) : end] = ids[len(before) : end]
    return Example(ids, labels)


def refuse_endless(tokenizer: Any, ends: Collection[int]) -> None:
    """Raises InputError where the chat template ends no assistant's turn, or writes no conversation at all: asked of one short
    exchange, with and without a system message, without any data."""
    exchange = (Message(role="user", content="Which one?"), Message(role="assistant", content="This one."))
    refused = []
    for messages in (exchange, (Message(role="system", content="Answer briefly."), *exchange)):
        try:
            encode(Dialogue(messages=messages, task="default", source="structured"), tokenizer, ends)
            return
        except UnreadableChat as fault:
            if fault.reason != REFUSED:  # which other words may not meet
                return
            refused.append(fault.evidence)
    raise InputError(
        f"{_template_of(tokenizer)} writes no exchange of user and assistant ({refused[0][:SAID]}); "
        "give a base with a chat template for plain conversations"
    )


def _ids(tokenizer: Any, messages: Sequence[Message], answering: bool = False) -> list[int]:
    return list(_rendered(tokenizer, messages, answering, tokenize=True, return_dict=False))


def _rendered(tokenizer: Any, messages: Sequence[Message], answering: bool, **form: Any) -> Any:
    from jinja2 import TemplateError, TemplateSyntaxError

    try:
        return tokenizer.apply_chat_template(
            chat(messages), add_generation_prompt=answering, strftime_now=written_day, **form
        )
    except TemplateSyntaxError as error:
        raise InputError(
            f"{_template_of(tokenizer)} is no valid template, line {error.lineno}: {error.message}"
        ) from None
    except TemplateError as error:  # templates refuse in words of their own: a system message, an order of turns
        raise UnreadableChat(REFUSED, " ".join(str(error).split())) from None
    except MemoryError:
        raise
    except Exception as error:  # a template is a program: it fails with what it likes
        said = " ".join(str(error).split())[:SAID]
        raise InputError(f"{_template_of(tokenizer)} fails ({type(error).__name__}: {said}); mend it") from None


def _template_of(tokenizer: Any) -> str:
    return f"base {tokenizer.name_or_path}: the chat template"


def _refuse_control_tokens(answer: str, tokenizer: Any) -> None:
    """Tokenizers make the control token itself of a text that spells it, so the model would learn to end a turn, or to begin
    another's, in the middle of an answer. In a prompt it carries no label, and the served model reads the same."""
    for token in tokenizer.added_tokens_decoder.values():
        if token.special and token.content in answer:
            raise UnreadableChat("control_token", f"the assistant's turn spells {token.content}")


def _refuse_other_beginning(messages: Sequence[Message], turn: int, tokenizer: Any) -> None:
    whole = _rendered(tokenizer, messages, False, tokenize=False)
    before = _rendered(tokenizer, messages[:turn], True, tokenize=False)
    after = _rendered(tokenizer, messages[: turn + 1], False, tokenize=False)
    if whole.startswith(before) and whole.startswith(after):
        said = messages[turn].content
        raise UnreadableChat(
            "merged_tokens",
            f"the assistant's turn {said[:SHOWN]!r} begins or ends in one token with the template's own text",
        )
    raise InputError(
        f"{_template_of(tokenizer)} rewrites earlier turns, so the trained prompt would not be the served one"
    )


def _end_of_turn(ids: list[int], start: int, ends: Collection[int], tokenizer: Any) -> int:
    """The place behind the first end token of the turn that begins at `start`: there the served model stops."""
    for place in range(start, len(ids)):
        if ids[place] in ends:
            return place + 1
    named = " or ".join(map(repr, tokenizer.convert_ids_to_tokens(sorted(ends)))) or "an end token"
    raise InputError(
        f"{_template_of(tokenizer)} ends the assistant's turn without {named}: the model would never learn to stop"
    )
