"""The HTTP door: OpenAI's chat endpoint over retriever and language model, with a key, limits, citations and a log.

Imported only where the application is built and in the door's replicas: it loads Ray Serve.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.exceptions import HTTPException

from metier.records import Passage
from metier.serving.answers import Answer, append, new_id, now
from metier.serving.chat import (
    DONE,
    Ask,
    Limits,
    RequestError,
    citations,
    engine_body,
    event,
    refusal,
    understood,
)
from metier.serving.keys import authorised

api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


@api.exception_handler(RequestError)
async def _refused(_: Request, error: RequestError) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    return JSONResponse(error.body(), status_code=error.status, headers=headers)


@api.exception_handler(HTTPException)
async def _no_such_way(request: Request, error: HTTPException) -> Response:
    message = f"{request.method} {request.url.path}: {error.detail}"
    return JSONResponse(RequestError(error.status_code, message).body(), status_code=error.status_code)


class _Door:
    """One replica of the door. `key_digest` empty: no key is asked for."""

    def __init__(
        self,
        retriever: DeploymentHandle,
        model: DeploymentHandle,
        *,
        store: str,
        release: str,
        passages: int,
        limits: Limits,
        max_body_bytes: int,
        key_digest: str,
    ) -> None:
        self._retriever, self._model = retriever, model.options(stream=True)
        self._store, self._release, self._passages = Path(store), release, passages
        self._limits, self._max_body_bytes, self._key_digest = limits, max_body_bytes, key_digest
        self._since = int(time.time())

    @api.get("/health")
    async def health(self) -> dict[str, str]:
        """Open to all, and says nothing but that the door is there."""
        return {"status": "ok"}

    @api.get("/v1/models")
    async def models(self, request: Request) -> dict[str, Any]:
        """The one model."""
        self._check_key(request)
        return {"object": "list", "data": [self._card()]}

    @api.get("/v1/models/{name:path}")
    async def model(self, name: str, request: Request) -> dict[str, Any]:
        """One model by name."""
        self._check_key(request)
        if name != self._limits.model:
            raise RequestError(404, f"model {name!r} is not served here; {self._limits.model!r} is", param="model",
                               code="model_not_found")  # fmt: skip
        return self._card()

    @api.post("/v1/chat/completions")
    async def chat(self, request: Request) -> Response:
        """An answer with its citations."""
        self._check_key(request)
        ask = understood(await self._body(request), self._limits)
        found = await self._retriever.search.remote(ask.question, self._passages) if ask.retrieve else []
        passages = [Passage(**row | {"parent_ids": tuple(row["parent_ids"])}) for row in found]
        said: Any = self._model.answer.remote(engine_body(ask, passages, self._limits.model))
        parts = aiter(said)
        first = await anext(parts)
        refused = refusal(first)
        if refused:
            raise refused
        answer_id = new_id()
        if ask.stream:
            stream = self._streamed(answer_id, ask, passages, first, parts)
            return StreamingResponse(stream, media_type="text/event-stream")
        await self._log(answer_id, ask, passages, first["choices"][0]["message"]["content"] or "",
                        first["choices"][0]["finish_reason"])  # fmt: skip
        return JSONResponse(first | {"id": answer_id, "citations": citations(passages)})

    async def _streamed(
        self,
        answer_id: str,
        ask: Ask,
        passages: list[Passage],
        first: dict[str, Any],
        parts: AsyncIterator[dict[str, Any]],
    ) -> AsyncIterator[str]:
        """The chunks as they come; the one that ends the answer, and one with the usage after it, carry the citations."""
        text, reason = [], "aborted"
        try:
            async for part in _chained(first, parts):
                failed = refusal(part)
                if failed:
                    yield event(failed.body())
                    return
                part = part | {"id": answer_id}
                for choice in part["choices"]:
                    text.append(choice["delta"].get("content") or "")
                    reason = choice.get("finish_reason") or reason
                if not part["choices"] or part["choices"][0].get("finish_reason"):
                    part["citations"] = citations(passages)
                yield event(part)
        finally:  # also of a reader who went away; and before the end is said: whoever has the whole answer can trace it
            await asyncio.shield(self._log(answer_id, ask, passages, "".join(text), reason))
        yield DONE

    async def _log(self, answer_id: str, ask: Ask, passages: list[Passage], text: str, reason: str) -> None:
        answer = Answer(
            id=answer_id,
            time=now(),
            question=ask.question,
            answer=text,
            passage_ids=tuple(p.id for p in passages),
            release=self._release,
            finish_reason=reason,
            turns=ask.turns,
        )
        await asyncio.to_thread(append, self._store, answer)

    def _check_key(self, request: Request) -> None:
        if self._key_digest and not authorised(request.headers.get("authorization", ""), self._key_digest):
            raise RequestError(401, "a valid key is needed: Authorization: Bearer KEY", code="invalid_api_key")

    async def _body(self, request: Request) -> bytes:
        """The body, read no further than the limit."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._max_body_bytes:
                raise RequestError(413, f"the body is longer than {self._max_body_bytes} bytes")
        return bytes(body)

    def _card(self) -> dict[str, Any]:
        return {"id": self._limits.model, "object": "model", "created": self._since, "owned_by": "metier"}


async def _chained(first: dict[str, Any], rest: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    yield first
    async for part in rest:
        yield part


# Last, not as a decorator: Serve copies the routes at this moment, with those names of the module that exist by then.
Door = serve.ingress(api)(_Door)
