"""Any OpenAI-compatible endpoint behind the engine protocol: retries, bounded concurrency, one request's failure its own.

The key comes from the environment and goes into the request's header; it is kept out of every response and error.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from metier.errors import InputError
from metier.inference.engines import HttpEngine
from metier.inference.protocol import Request, Response, chat, failed

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0


class HttpGenerator:
    """An engine that asks an endpoint."""

    def __init__(self, config: HttpEngine) -> None:
        import openai

        self._config = config
        self._key = _key(config.api_key_env)
        self._client = openai.OpenAI(
            base_url=config.base_url,
            api_key=self._key or "none",
            timeout=config.max_seconds,
            max_retries=0,  # tenacity retries, once, here
        )

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """One response a request, in the same order; at most `concurrency` are in flight."""
        with ThreadPoolExecutor(max_workers=self._config.concurrency) as threads:
            return list(threads.map(self._answer, requests))

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _answer(self, request: Request) -> Response:
        import openai
        import tenacity

        worth_a_retry = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError)
        ask = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(worth_a_retry),
            wait=tenacity.wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
            stop=tenacity.stop_after_attempt(self._config.max_attempts),
            reraise=True,
        )
        try:
            return _response(request, ask(self._ask, request))
        except (openai.OpenAIError, ValueError) as error:
            return failed(request, self._without_key(f"{type(error).__name__}: {error}"))

    def _ask(self, request: Request) -> Any:
        sent: dict[str, Any] = {"max_tokens": request.max_tokens, "temperature": request.temperature}
        if request.temperature:
            sent["seed"] = request.seed
        if request.stop:
            sent["stop"] = list(request.stop)
        return self._client.chat.completions.create(
            model=self._config.model, messages=chat(request.messages), **sent  # type: ignore[arg-type]
        )  # fmt: skip

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _key(variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "")
    if not key:
        raise InputError(f"the environment variable {variable}, which should hold the endpoint's key, is not set")
    return key


def _response(request: Request, completion: Any) -> Response:
    choices = getattr(completion, "choices", None)
    if not choices or choices[0].message is None:
        raise ValueError("the endpoint's reply holds no choice")
    usage = completion.usage
    return Response(
        id=request.id,
        text=choices[0].message.content or "",
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
        finish_reason=choices[0].finish_reason or "stop",
    )
