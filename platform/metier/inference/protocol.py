"""The one protocol of every engine: requests in, as many responses out. What travels is plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from metier.records import Message

DAY = date(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class Request:
    """One conversation to be continued. At temperature 0 the answer is the greedy one and the seed has no effect."""

    id: str
    messages: tuple[Message, ...]
    max_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to the request of the same id. Where `error` says something, there is no text."""

    id: str
    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str  # stop, length; error where it failed
    error: str = ""


class Engine(Protocol):
    """What answers requests. One request's failure is its response's `error`, never an exception."""

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """One response a request, in the same order."""

    def close(self) -> None:
        """Frees what the engine holds; it is not used again."""


def failed(request: Request, why: str) -> Response:
    """The response of a request that could not be answered."""
    return Response(
        id=request.id, text="", prompt_tokens=0, completion_tokens=0, finish_reason="error", error=why[:500]
    )


def chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages in the form that chat templates and OpenAI-compatible endpoints take."""
    return [{"role": m.role, "content": m.content} for m in messages]


def written_day(form: str) -> str:
    """The day that chat templates write as today's: always the same, else a conversation had other tokens tomorrow."""
    return DAY.strftime(form)
