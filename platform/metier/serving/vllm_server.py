"""ray.serve.llm's server over vLLM, as the language model's replicas run it. Loads vLLM: imported in a replica only.

Most of a start on a CPU is importing vLLM, once in every process that does. Three processes that Ray and vLLM would
start besides the replica and its engine are left out here; that halves the start.
"""

from __future__ import annotations

from typing import Any

from ray.llm._internal.common.callbacks.base import CallbackBase
from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from ray.serve.llm import LLMConfig
from ray.serve.llm.deployment import LLMServer
from ray.serve.llm.openai_api_models import ChatCompletionRequest

__all__ = ["ChatCompletionRequest", "ModelServer", "server_config"]


class LocalModel(CallbackBase):
    """Tells Ray that the model's folder is there, so that no task has to fetch it."""

    async def on_before_node_init(self) -> None:
        """Called before the engine starts."""
        self.ctx.run_init_node = False


class Engine(VLLMEngine):
    """On a CPU, vLLM's worker inside its engine process; Ray asks for one more process. A GPU's engine is as it is."""

    def _start_async_llm_engine(self, vllm_engine_args: Any, vllm_engine_config: Any, placement_group: Any) -> Any:
        parallel = vllm_engine_config.parallel_config
        if vllm_engine_config.device_config.device_type == "cpu" and parallel.world_size == 1:
            parallel.distributed_executor_backend = "uni"
        return super()._start_async_llm_engine(vllm_engine_args, vllm_engine_config, placement_group)


class ModelServer(LLMServer):
    """One engine."""

    _default_engine_cls: Any = Engine

    async def _start_engine(self) -> None:
        """Without the report of usage that Ray sends from here, through an actor of its own."""
        assert self.engine is not None  # its caller has just made it
        await self.engine.start()


def server_config(
    *,
    name: str,
    folder: str,
    bundles: list[dict[str, float]],
    engine_kwargs: dict[str, Any],
    environment: dict[str, str],
) -> LLMConfig:
    """Ray's configuration of a server. `bundles` are those of the replica's own placement group."""
    return LLMConfig(
        model_loading_config={"model_id": name, "model_source": folder},
        engine_kwargs=engine_kwargs,
        accelerator_type=None,
        placement_group_config={"bundles": bundles},
        runtime_env={"env_vars": environment},
        experimental_configs={"stream_batching_interval_ms": 0},  # 50 ms by default, on every first token
        callback_config={"callback_class": f"{LocalModel.__module__}.{LocalModel.__qualname__}"},
        log_engine_metrics=False,
    )
