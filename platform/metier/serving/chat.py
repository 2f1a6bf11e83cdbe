"""The chat request as the service accepts it, and the pieces of the answers that it gives. Plain functions, no server.

The shape is OpenAI's. What would change how the model was examined is refused rather than passed over in silence: the
system prompt is the release's own, tools and several answers at once are not served.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metier.records import Passage
from metier.retrieval.prompt import prompt_messages

LONGEST_STOP = 4  # stop texts, as at OpenAI


class RequestError(Exception):
    """A request that is refused: HTTP status and OpenAI's error fields."""

    def __init__(self, status: int, message: str, *, param: str = "", code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        kind = {401: "authentication_error", 429: "rate_limit_error", 503: "server_error"}.get(self.status)
        kind = kind or ("server_error" if self.status >= 500 else "invalid_request_error")
        error = {"message": self.message, "type": kind, "param": self.param or None, "code": self.code or None}
        return {"error": error}


@dataclass(frozen=True)
class Limits:
    """What one request may ask for."""

    model: str
    max_messages: int
    max_tokens: int  # when the request names none
    max_answer_tokens: int  # when it does


@dataclass(frozen=True)
class Ask:
    """A request, understood: the question, the earlier (question, answer) pairs, and how to answer."""

    question: str
    turns: tuple[tuple[str, str], ...]
    retrieve: bool
    stream: bool
    include_usage: bool
    sampling: dict[str, Any] = field(default_factory=dict)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Text(_Body):
    type: Literal["text"]
    text: str


class _Turn(_Body):
    role: Literal["user", "assistant"]
    content: str | list[_Text]
    name: str | None = None
    citations: Any = None  # of an earlier answer, sent back as it came

    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class _StreamOptions(_Body):
    include_usage: bool = False


class _Extension(_Body):
    retrieve: bool = True


class _Chat(_Body):
    model: str
    messages: list[_Turn] = Field(min_length=1)
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0, lt=1 << 63)
    stop: str | list[str] | None = None
    n: Literal[1] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: str | None = None
    metier: _Extension | None = None


def understood(body: bytes, limits: Limits) -> Ask:
    """The request in a body. Raises RequestError with one clear message."""
    try:
        chat = _Chat.model_validate_json(body, strict=False)
    except ValidationError as error:
        raise _explained(error) from None
    if chat.model != limits.model:
        raise RequestError(404, f"model {chat.model!r} is not served here; {limits.model!r} is", param="model",
                           code="model_not_found")  # fmt: skip
    if len(chat.messages) > limits.max_messages:
        raise RequestError(400, f"{len(chat.messages)} messages, at most {limits.max_messages} are taken: "
                           "leave the oldest out", param="messages")  # fmt: skip
    question, turns = _conversation(chat.messages)
    return Ask(
        question=question,
        turns=turns,
        retrieve=chat.metier.retrieve if chat.metier else True,
        stream=bool(chat.stream),
        include_usage=bool(chat.stream_options and chat.stream_options.include_usage),
        sampling=_sampling(chat, limits),
    )


def _explained(error: ValidationError) -> RequestError:
    fault = error.errors()[0]
    param = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "json_invalid":
        return RequestError(400, "the body is not JSON")
    if fault["type"] == "extra_forbidden":
        return RequestError(400, f"{param}: not supported by this service", param=param, code="unsupported_parameter")
    if fault["loc"][:1] == ("messages",) and fault["loc"][-1:] == ("role",):
        return RequestError(400, f"{param}: user or assistant; the system prompt belongs to the release", param=param)
    return RequestError(400, f"{param or 'body'}: {fault['msg']}", param=param)


def _conversation(messages: Sequence[_Turn]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The last question and the pairs before it."""
    texts = [message.text().strip() for message in messages]
    for place, message in enumerate(messages):
        wanted = "assistant" if place % 2 else "user"
        if message.role != wanted:
            raise RequestError(400, f"messages.{place}: user and assistant take turns, beginning with the user",
                               param=f"messages.{place}.role")  # fmt: skip
        if not texts[place]:
            raise RequestError(400, f"messages.{place}: the text is empty", param=f"messages.{place}.content")
    if messages[-1].role != "user":
        raise RequestError(400, "the last message must be the user's", param="messages")
    return texts[-1], tuple(zip(texts[:-1:2], texts[1:-1:2], strict=True))


def _sampling(chat: _Chat, limits: Limits) -> dict[str, Any]:
    """What goes on to the engine. Temperature is 0 unless asked for, because so the model was examined."""
    asked = chat.max_completion_tokens or chat.max_tokens or limits.max_tokens
    if asked > limits.max_answer_tokens:
        raise RequestError(400, f"max_tokens {asked}: at most {limits.max_answer_tokens} are given", param="max_tokens")
    stop = [chat.stop] if isinstance(chat.stop, str) else (chat.stop or [])
    if len(stop) > LONGEST_STOP or any(not text for text in stop):
        raise RequestError(400, f"stop: at most {LONGEST_STOP} texts, none of them empty", param="stop")
    sampling = {
        "max_tokens": asked,
        "temperature": chat.temperature or 0.0,
        "top_p": chat.top_p,
        "seed": chat.seed,
        "stop": stop or None,
    }
    return {name: value for name, value in sampling.items() if value is not None}


def engine_body(ask: Ask, passages: Sequence[Passage], model: str) -> dict[str, Any]:
    """The request to the engine: the prompt as training and the exam made it, earlier turns in between."""
    messages = prompt_messages(ask.question, passages, examples=ask.turns)
    return {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in messages],
        "stream": ask.stream,
        **({"stream_options": {"include_usage": True}} if ask.stream and ask.include_usage else {}),
        **ask.sampling,
    }


def citations(passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """The passages that stand in the prompt, numbered as they stand there, their text to the letter."""
    return [
        {"number": number, "passage_id": p.id, "title": p.title, "uri": p.uri, "text": p.text}
        for number, p in enumerate(passages, 1)
    ]


def refusal(part: dict[str, Any]) -> RequestError | None:
    """The engine's error in a part of its answer, as an error of the request; None for any other part."""
    error = part.get("error")
    if not error:
        return None
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 500:
        return RequestError(code, str(error["message"]).split("\n")[0], param=error.get("param") or "")
    return RequestError(500, "the language model failed; its log says why", code="engine_failed")


def event(part: dict[str, Any]) -> str:
    """A part of a streamed answer as a server-sent event."""
    return f"data: {json.dumps(part, ensure_ascii=False)}\n\n"


DONE = "data: [DONE]\n\n"
