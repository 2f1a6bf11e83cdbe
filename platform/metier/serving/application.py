"""The Serve application of a release: door -> retriever, language model. Also what Serve's YAML files import.

Building it starts nothing; `metier.serving.local` runs it here, `serve run serve/local.yaml` or `serve deploy` elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metier.inference.probe import engine_dtype
from metier.serving.chat import Limits
from metier.serving.keys import api_key, key_digest
from metier.serving.release import Release, open_release, production_release
from metier.serving.settings import ServeSettings, settings_from

if TYPE_CHECKING:
    from ray.serve import Application

KV_CACHE_GIB = 1  # for an engine on a CPU
HEALTH_CHECK_SECONDS = 120  # an engine on a busy CPU answers late, not never


def build(args: dict[str, Any]) -> Application:
    """The application from plain values (`args:` in a Serve YAML file), with their meaning as in ServeSettings."""
    settings = settings_from(args)
    return application(settings, released(settings))


def released(settings: ServeSettings) -> Release:
    """The release that the settings mean: the one named, else the one in production. Raises InputError without one."""
    store = Path(settings.store).expanduser().absolute()
    if settings.release:
        return open_release(store, settings.release)
    return production_release(store, settings.model)


def application(settings: ServeSettings, release: Release) -> Application:
    """The application for a release."""
    from ray import serve

    from metier.serving.door import Door
    from metier.serving.retriever import PassageRetriever

    store = Path(settings.store).expanduser().absolute()
    retriever = serve.deployment(
        PassageRetriever,
        num_replicas=settings.retriever_replicas,
        ray_actor_options={"num_cpus": 0.5},
        max_constructor_retry_count=1,
    ).bind(str(release.index), release.embedder)
    door = serve.deployment(
        Door,
        num_replicas=settings.door_replicas,
        ray_actor_options={"num_cpus": 0.25},
        max_ongoing_requests=settings.max_waiting,
        max_queued_requests=settings.max_waiting,
        max_constructor_retry_count=1,
    )
    return door.bind(
        retriever,
        language_model(settings, release),
        store=str(store),
        release=release.key,
        passages=release.passages,
        limits=Limits(release.name, settings.max_messages, release.max_tokens, release.max_answer_tokens),
        max_body_bytes=settings.max_body_bytes,
        key_digest=key_digest(api_key(store)) if settings.require_key else "",
    )


def language_model(settings: ServeSettings, release: Release) -> Application:
    """The model's deployment, on vLLM through ray.serve.llm."""
    from ray.serve.llm import LLMConfig, build_llm_deployment

    from metier.serving.language_model import LanguageModel, LocalModel

    bundles = [{"GPU": 1, "CPU": 1}] * settings.gpus or [{"CPU": 1}]
    config = LLMConfig(
        model_loading_config={"model_id": release.name, "model_source": str(release.model)},
        engine_kwargs=engine_kwargs(settings, release),
        accelerator_type=None,
        placement_group_config={"bundles": bundles},
        runtime_env={"env_vars": engine_environment(settings)},
        deployment_config={
            "num_replicas": settings.model_replicas,
            "max_ongoing_requests": settings.max_num_seqs * 2,
            "health_check_timeout_s": HEALTH_CHECK_SECONDS,
            "max_constructor_retry_count": 1,
            "ray_actor_options": {"num_cpus": 0},
        },
        experimental_configs={"stream_batching_interval_ms": 0},  # 50 ms by default, on every first token
        callback_config={"callback_class": f"{LocalModel.__module__}.{LocalModel.__qualname__}"},
        log_engine_metrics=False,
    )
    return build_llm_deployment(config, name_prefix="", deployment_cls=LanguageModel)


def engine_kwargs(settings: ServeSettings, release: Release) -> dict[str, Any]:
    """vLLM's arguments. On a CPU the model runs uncompiled: compiling takes minutes and pays for thousands of answers."""
    kwargs: dict[str, Any] = {
        "dtype": engine_dtype(settings.dtype, gpus=settings.gpus),
        "max_model_len": release.max_model_len,
        "max_num_seqs": settings.max_num_seqs,
        "enable_prefix_caching": True,
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
        "VLLM_CPU_INT4_W4A8": "0",
    }
