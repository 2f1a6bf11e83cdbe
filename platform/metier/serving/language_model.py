"""The language model's deployment: ray.serve.llm's server over vLLM, speaking plain mappings with the door.

Imported in the model's replicas and where the application is built, and nowhere else: it loads vLLM, which takes
seconds. Plain mappings keep the door free of vLLM.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from ray.llm._internal.common.callbacks.base import CallbackBase
from ray.serve.llm.deployment import LLMServer
from ray.serve.llm.openai_api_models import ChatCompletionRequest


class LocalModel(CallbackBase):
    """Tells Ray that the model's folder is there: no task, with one more process that imports vLLM, has to fetch it."""

    async def on_before_node_init(self) -> None:
        """Called before the engine starts."""
        self.ctx.run_init_node = False


class LanguageModel(LLMServer):
    """One engine."""

    async def answer(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The engine's answer to an OpenAI chat body: one completion, or chunks when it asks for a stream.

        What the engine refuses comes as {"error": {message, type, code}}.
        """
        async for part in await self.chat(ChatCompletionRequest(**body)):
            for one in part if isinstance(part, list) else [part]:
                if isinstance(one, str):
                    data = one.removeprefix("data:").strip()
                    if data and data != "[DONE]":
                        yield json.loads(data)
                else:  # a whole completion or an error
                    yield one.model_dump()
