"""The four forms in which chats are kept, to messages and back: OpenAI's messages, ShareGPT, Alpaca, and ChatML text.

    openai    {"messages": [{"role": "user", "content": "..."}, ...]}
    sharegpt  {"conversations": [{"from": "human", "value": "..."}, ...]}, `system` beside it where there is one
    alpaca    {"instruction": "...", "input": "...", "output": "..."}, `system` and `history` where there are some
    chatml    {"text": "<|im_start|>user\\n...<|im_end|>\\n..."}

What is read back is what was written, to the letter; what a form can't hold so is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from metier.records import Message, Role

ChatFormat = Literal["openai", "sharegpt", "alpaca", "chatml"]
FORMATS: tuple[ChatFormat, ...] = get_args(ChatFormat)
COLUMNS: dict[ChatFormat, tuple[str, ...]] = {
    "openai": ("messages",),
    "sharegpt": ("conversations",),
    "alpaca": ("instruction", "output"),
    "chatml": ("text",),
}
ROLES: dict[str, Role] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant",
}  # fmt: skip
_FROM: dict[Role, str] = {"system": "system", "user": "human", "assistant": "gpt"}
_START, _END = "<|im_start|>", "<|im_end|>"
_TURN = re.compile(r"\s*<\|im_start\|>([^\n]*)\n(.*?)<\|im_end\|>", re.DOTALL)
_TOOLS = ("tools", "functions", "tool_calls", "function_call")


class UnreadableChat(ValueError):
    """This row is no dialogue: the reason as a code, and what was seen."""

    def __init__(self, reason: str, evidence: str) -> None:
        super().__init__(f"{reason}: {evidence}")
        self.reason = reason
        self.evidence = evidence.encode("utf-8", "backslashreplace").decode()  # a row may hold half a character


class UnwritableChat(ValueError):
    """This dialogue has what the format can't hold; the text says what."""


def format_of(columns: Iterable[str]) -> ChatFormat | None:
    """The form that has these columns; None where none has."""
    there = set(columns)
    return next((form for form, needed in COLUMNS.items() if there.issuperset(needed)), None)


def messages_in(row: Any, form: ChatFormat | None = None) -> tuple[Message, ...]:
    """The messages of a row, whose form is told by its columns unless it is given.

    They may begin with a system message; then user and assistant take turns, the user first and the assistant last. Raises
    UnreadableChat for all else.
    """
    if not isinstance(row, Mapping):
        raise UnreadableChat("not_an_object", f"a row is an object, not {type(row).__name__}")
    present = {str(name): value for name, value in row.items() if value is not None}
    form = form or format_of(present)
    if form is None:
        known = "; ".join(f"{one}: {', '.join(needed)}" for one, needed in COLUMNS.items())
        raise UnreadableChat("unknown_format", f"columns {', '.join(sorted(present)) or 'none'} ({known})")
    missing = [name for name in COLUMNS[form] if name not in present]
    if missing:
        raise UnreadableChat("missing_column", f"{form} has a column {missing[0]}")
    _refuse_tools(present)
    messages = tuple(_READERS[form](present))
    refuse_unfit(messages)
    return messages


def row_of(messages: Sequence[Message], form: ChatFormat) -> dict[str, Any]:
    """The row that holds the messages. Raises UnwritableChat where reading it would not give them back."""
    row = _WRITERS[form](messages)
    try:
        if messages_in(row, form) == tuple(messages):
            return row
        why = "; ".join(f"{m.role} {m.content[:40]!r}" for m in messages)
    except UnreadableChat as fault:
        why = fault.evidence
    raise UnwritableChat(f"{form} can't hold it so that it reads back the same ({why})")


def _refuse_tools(row: Mapping[str, Any]) -> None:
    """Calls of tools, and tools on offer, change what an answer means."""
    used = next((name for name in _TOOLS if row.get(name)), None)
    if used:
        raise UnreadableChat("tool_call", f"it has {used}")


def refuse_unfit(messages: Sequence[Message]) -> None:
    """Raises UnreadableChat where a turn is empty or no text, or where user and assistant do not take turns: chat templates
    of models raise an error of their own there, or write what nobody asked."""
    for message in messages:
        if not message.content.strip():
            raise UnreadableChat("empty_turn", f"the {message.role}'s turn is empty")
        try:
            message.content.encode()
        except UnicodeEncodeError as error:
            raise UnreadableChat("encoding", f"the {message.role}'s turn is no text ({error.reason})") from None
    spoken = [message.role for message in messages]
    turns = spoken[1:] if spoken[:1] == ["system"] else spoken
    for role in ("user", "assistant"):
        if role not in turns:
            raise UnreadableChat(f"no_{role}_turn", f"roles: {_listed(spoken)}")
    if turns[-1] == "user":
        raise UnreadableChat("unanswered", "the last turn is the user's")
    if turns != ["user", "assistant"] * (len(turns) // 2):
        raise UnreadableChat("turn_order", f"user and assistant do not take turns: {_listed(spoken)}")


def _listed(roles: Sequence[str]) -> str:
    shown = ", ".join(roles[:8]) or "none"
    return shown + (f" and {len(roles) - 8} more" if len(roles) > 8 else "")


def _message(role: Any, content: Any) -> Message:
    known = ROLES.get(role.strip().lower()) if isinstance(role, str) else None
    if known is None:
        raise UnreadableChat("unknown_role", f"role {str(role)[:60]!r}; known are {', '.join(ROLES)}")
    return Message(role=known, content=_text(content))


def _text(content: Any) -> str:
    """A turn's text: plain, or in OpenAI's parts, of which all must be text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(p, Mapping) and isinstance(p.get("text"), str) for p in content):
        return "".join(part["text"] for part in content)
    raise UnreadableChat("not_text", f"a turn of {type(content).__name__}: {str(content)[:60]}")


def _objects(value: Any, name: str) -> Iterator[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise UnreadableChat("malformed", f"{name} is no list of turns")
    yield from value


def _from_openai(row: Mapping[str, Any]) -> Iterator[Message]:
    for turn in _objects(row["messages"], "messages"):
        _refuse_tools(turn)
        yield _message(turn.get("role"), turn.get("content"))


def _from_sharegpt(row: Mapping[str, Any]) -> Iterator[Message]:
    yield from _system(row)
    for turn in _objects(row["conversations"], "conversations"):
        yield _message(turn.get("from"), turn.get("value"))


def _from_alpaca(row: Mapping[str, Any]) -> Iterator[Message]:
    yield from _system(row)
    history = row.get("history", [])
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise UnreadableChat("malformed", "history is no list of pairs")
    for pair in history:
        yield from (Message(role="user", content=_text(pair[0])), Message(role="assistant", content=_text(pair[1])))
    asked = [_text(row["instruction"]), _text(row.get("input", ""))]
    yield Message(role="user", content="\n\n".join(part for part in asked if part))
    yield Message(role="assistant", content=_text(row["output"]))


def _from_chatml(row: Mapping[str, Any]) -> Iterator[Message]:
    text, at = _text(row["text"]), 0
    while turn := _TURN.match(text, at):
        if _START in turn[2]:
            raise UnreadableChat("malformed", f"a turn without {_END}: {turn[2][:60]!r}")
        yield _message(turn[1], turn[2])
        at = turn.end()
    if text[at:].strip():
        raise UnreadableChat("malformed", f"neither {_START} nor {_END}: {text[at:].strip()[:60]!r}")


def _system(row: Mapping[str, Any]) -> Iterator[Message]:
    if row.get("system"):
        yield Message(role="system", content=_text(row["system"]))


def _to_openai(messages: Sequence[Message]) -> dict[str, Any]:
    return {"messages": [{"role": m.role, "content": m.content} for m in messages]}


def _to_sharegpt(messages: Sequence[Message]) -> dict[str, Any]:
    return {"conversations": [{"from": _FROM[m.role], "value": m.content} for m in messages]}


def _to_alpaca(messages: Sequence[Message]) -> dict[str, Any]:
    system = [m.content for m in messages[:1] if m.role == "system"]
    turns = [m.content for m in messages[len(system) :]]
    *earlier, last = list(zip(turns[::2], turns[1::2], strict=False)) or [("", "")]
    row: dict[str, Any] = {"instruction": last[0], "input": "", "output": last[1]}
    return row | ({"system": system[0]} if system else {}) | ({"history": [*map(list, earlier)]} if earlier else {})


def _to_chatml(messages: Sequence[Message]) -> dict[str, Any]:
    return {"text": "".join(f"{_START}{m.role}\n{m.content}{_END}\n" for m in messages)}


_READERS: dict[ChatFormat, Callable[[Mapping[str, Any]], Iterator[Message]]] = {
    "openai": _from_openai,
    "sharegpt": _from_sharegpt,
    "alpaca": _from_alpaca,
    "chatml": _from_chatml,
}
_WRITERS: dict[ChatFormat, Callable[[Sequence[Message]], dict[str, Any]]] = {
    "openai": _to_openai,
    "sharegpt": _to_sharegpt,
    "alpaca": _to_alpaca,
    "chatml": _to_chatml,
}
