"""The language model's deployment: one vLLM engine a replica, through ray.serve.llm, speaking plain mappings.

`build_llm_deployment` would do the same, but importing it where the application is built loads vLLM there too and
takes over that process's log; so the deployment's options are spelt out here, and Ray's server is made in the replica.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from metier.inference.probe import engine_dtype
from metier.serving.release import Release
from metier.serving.settings import ServeSettings

if TYPE_CHECKING:
    from ray.serve import Application

KV_CACHE_GIB = 1  # for an engine on a CPU: 46,000 tokens of a 135M model in bfloat16
HEALTH_CHECK_SECONDS = 120  # an engine on a busy CPU answers late, not never


class LanguageModel:
    """One engine and what it answers."""

    async def __init__(self, server: dict[str, Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        from metier.serving.vllm_server import ChatCompletionRequest, ModelServer, server_config

        self._request = ChatCompletionRequest
        self._server = ModelServer.sync_init(server_config(**server))
        await self._server.start()

    async def answer(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The engine's answer to an OpenAI chat body: one completion, or chunks when it asks for a stream.

        What the engine refuses comes as {"error": {message, type, code}}.
        """
        parts: AsyncIterator[Any] = await self._server.chat(self._request(**body))
        async for part in parts:
            for one in part if isinstance(part, list) else [part]:
                if isinstance(one, str):
                    data = one.removeprefix("data:").strip()
                    if data and data != "[DONE]":
                        yield json.loads(data)
                else:  # a whole completion, or an error
                    yield one.model_dump()

    async def check_health(self) -> None:
        """Raises when the engine is dead; Serve then starts another replica."""
        await self._server.check_health()


def language_model(settings: ServeSettings, release: Release) -> Application:
    """The deployment for a release, in a placement group of its own: the replica and the engine's workers together."""
    from ray import serve

    bundles: list[dict[str, float]] = [{"GPU": 1, "CPU": 1}] * settings.gpus or [{"CPU": 1}]
    environment = engine_environment(settings)
    deployment = serve.deployment(
        num_replicas=settings.model_replicas,
        max_ongoing_requests=2 * settings.max_num_seqs,
        placement_group_bundles=bundles,
        placement_group_strategy="PACK",
        ray_actor_options={"num_cpus": 0, "runtime_env": {"env_vars": environment}},
        health_check_timeout_s=HEALTH_CHECK_SECONDS,
        max_constructor_retry_count=1,
    )
    server = {
        "name": release.name,
        "folder": str(release.model),
        "bundles": bundles,
        "engine_kwargs": engine_kwargs(settings, release),
        "environment": environment,
    }
    return deployment(LanguageModel).bind(server)


def engine_kwargs(settings: ServeSettings, release: Release) -> dict[str, Any]:
    """vLLM's arguments. On a CPU the model runs uncompiled: compiling takes minutes and pays for thousands of answers."""
    kwargs: dict[str, Any] = {
        "dtype": engine_dtype(settings.dtype, gpus=settings.gpus),
        "max_model_len": release.max_model_len,
        "max_num_seqs": settings.max_num_seqs,
        "enable_prefix_caching": True,
        "generation_config": "vllm",  # a model's own penalties would answer otherwise than in the exam
        "enforce_eager": not settings.gpus,
        "disable_log_stats": True,
    }
    if settings.gpus > 1:
        kwargs["tensor_parallel_size"] = settings.gpus
    return kwargs


def engine_environment(settings: ServeSettings) -> dict[str, str]:
    """The engine's environment. On a CPU vLLM takes its cache size and its threads from here alone."""
    environment = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if settings.gpus:
        return environment
    return environment | {
        "VLLM_CPU_KVCACHE_SPACE": str(KV_CACHE_GIB),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))),  # Ray would leave one
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the worker lives in the engine's process (vllm_server.Engine)
        "VLLM_CPU_INT4_W4A8": "0",
    }
