"""Batch generation on Ray Data: many requests, one model, any engine. vLLM runs through ray.data.llm.

Chat templates and token ids are made once, here, so the engine needs neither a template nor a tokenise stage of its
own: each would be one more process that imports torch, which on two cores costs more than the work that it does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from metier.config import Resources
from metier.errors import InputError, MachineError
from metier.execution.step import Progress
from metier.inference.engines import EngineConfig, HttpEngine, TransformersEngine, VllmEngine, open_engine
from metier.inference.probe import engine_dtype
from metier.inference.protocol import Request, Response, failed
from metier.models import resolve
from metier.records import Message

KV_CACHE_GIB = 1  # for vLLM on a CPU: 46,000 tokens of a 135M model in bfloat16, half of that in float32
BATCH_ROWS = 16  # rows that Ray Data hands to the engine at once; several such batches are in flight


def _silent(done: int, total: int, what: str) -> None:
    return None


def generate(
    requests: Sequence[Request],
    engine: EngineConfig,
    model: str,
    resources: Resources,
    progress: Progress = _silent,
) -> Iterator[Response]:
    """Answers every request; responses come in any order and carry their request's id.

    `model` is a name, a folder or a hub id (`metier.models.resolve`); an endpoint names its own. A request that fails
    comes back with `error`. Raises InputError when the context is longer than the model's, MachineError without vLLM.
    """
    if not requests:
        return
    if isinstance(engine, HttpEngine):
        responses = _over_http(requests, engine)
    elif isinstance(engine, TransformersEngine):
        responses = _in_actors(requests, engine, resolve(model), resources)
    else:
        responses = _on_vllm(requests, engine, resolve(model), resources)
    for done, response in enumerate(responses, 1):
        yield response
        progress(done, len(requests), "answers")


def _over_http(requests: Sequence[Request], config: HttpEngine) -> Iterator[Response]:
    """One client here: more of them would multiply the bound on requests in flight, which is the endpoint's to set."""
    client = open_engine(config, "")
    try:
        for start in range(0, len(requests), config.concurrency * 4):
            yield from client.generate(requests[start : start + config.concurrency * 4])
    finally:
        client.close()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class _Worker:
    """A Ray actor that holds one plain engine and answers chunks of requests."""

    def __init__(self, config: TransformersEngine, model: str, device: str, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)  # Ray lets a worker of one logical CPU start with one
        self._engine = open_engine(config, model, device)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        answered = []
        for chunk in batch["requests"]:
            responses = self._engine.generate([_request(row) for row in json.loads(chunk)])
            answered.append(json.dumps([dataclasses.asdict(r) for r in responses]))
        return {"responses": answered}


def _request(row: dict[str, Any]) -> Request:
    messages = tuple(Message(**m) for m in row["messages"])
    return Request(**row | {"messages": messages, "stop": tuple(row["stop"])})


def _in_actors(
    requests: Sequence[Request], config: TransformersEngine, model: str, resources: Resources
) -> Iterator[Response]:
    """Chunks are cut here, from requests sorted by length, so neither workers nor order of arrival change a batch."""
    import ray.data

    ordered = sorted(requests, key=lambda r: (sum(len(m.content) for m in r.messages), r.id))
    chunks = [ordered[i : i + config.batch_rows] for i in range(0, len(ordered), config.batch_rows)]
    rows = [{"requests": json.dumps([dataclasses.asdict(r) for r in chunk])} for chunk in chunks]
    answered = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _Worker,
        fn_constructor_args=(config, model, "cuda" if resources.gpus else "cpu", max(1, _cores() // resources.workers)),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(resources.workers, len(rows))),
        num_cpus=resources.cpus,
        num_gpus=resources.gpus,
    )
    for row in answered.iter_rows():
        yield from (Response(**r) for r in json.loads(row["responses"]))


def _on_vllm(requests: Sequence[Request], config: VllmEngine, model: str, resources: Resources) -> Iterator[Response]:
    if importlib.util.find_spec("vllm") is None:
        raise MachineError("vLLM is not installed: install requirements/cpu.in's vLLM, or set engine: transformers")
    _refuse_longer_context(config, model)
    rows, refused = _vllm_rows(requests, config, model)
    yield from refused
    if rows:
        yield from _run_processor(rows, config, model, resources)


def _refuse_longer_context(config: VllmEngine, model: str) -> None:
    described = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    longest = described.get("max_position_embeddings")
    if longest and config.max_model_len > longest:
        raise InputError(
            f"max_model_len {config.max_model_len} is more than the {longest} tokens that {model} can read"
        )


def _vllm_rows(
    requests: Sequence[Request], config: VllmEngine, model: str
) -> tuple[list[dict[str, Any]], list[Response]]:
    """Rows for the engine stage, and the requests that can't fit, answered with the reason."""
    from metier.inference.transformers_engine import load_tokenizer, prompt_ids, too_long

    tokenizer = load_tokenizer(model)
    rows, refused = [], []
    for request in requests:
        ids = prompt_ids(tokenizer, request.messages)
        if len(ids) + request.max_tokens > config.max_model_len:
            refused.append(failed(request, too_long(len(ids), request.max_tokens, config.max_model_len)))
            continue
        rows.append({"id": request.id, "tokenized_prompt": ids, "limit": request.max_tokens,
                     "sampling_params": _sampling(request)})  # fmt: skip
    return rows, refused


def _sampling(request: Request) -> dict[str, Any]:
    return {
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "stop": list(request.stop),
    }


def _run_processor(
    rows: list[dict[str, Any]], config: VllmEngine, model: str, resources: Resources
) -> Iterator[Response]:
    import ray.data

    with _hushed():
        processor = _processor(config, model, resources)
    blocks = max(1, len(rows) // BATCH_ROWS)
    for row in processor(ray.data.from_items(rows, override_num_blocks=blocks)).iter_rows():
        yield _response(row)


def _processor(config: VllmEngine, model: str, resources: Resources) -> Any:
    """The one stage that is needed here: the engine. It tokenises nothing and takes its rows as they come."""
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    settings = vLLMEngineProcessorConfig(
        model_source=model,
        engine_kwargs=_engine_kwargs(config, resources),
        runtime_env={"env_vars": _environment(resources)},
        concurrency=(resources.workers, resources.workers),
        batch_size=BATCH_ROWS,
        max_concurrent_batches=-(-2 * config.max_num_seqs // BATCH_ROWS),
        accelerator_type=None,
        placement_group_config={"bundles": [_bundle(resources)]},
        should_continue_on_error=True,
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        log_engine_metrics=False,
    )
    return build_processor(settings, postprocess=_answer_columns)


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Building the pipeline imports vLLM here too; it and ray.llm tell their lives over the progress display."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _engine_kwargs(config: VllmEngine, resources: Resources) -> dict[str, Any]:
    kwargs: dict[str, Any] = {
        "dtype": engine_dtype(config.dtype, gpus=resources.gpus),
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_num_seqs,
        "enforce_eager": config.enforce_eager,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
    }
    if resources.gpus > 1:
        kwargs["tensor_parallel_size"] = int(resources.gpus)
    return kwargs


def _bundle(resources: Resources) -> dict[str, float]:
    return {"CPU": resources.cpus} | ({"GPU": min(resources.gpus, 1)} if resources.gpus else {})


def _environment(resources: Resources) -> dict[str, str]:
    """The engine process's environment. Without a GPU vLLM takes its cache size and threads from here alone."""
    environment = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if resources.gpus:
        return environment
    return environment | cpu_environment()


def cpu_environment() -> dict[str, str]:
    """What a vLLM process on a CPU needs in its environment, whoever starts it.

    Threads are not bound to cores, so that others may run beside it. Without vLLM's own multiprocessing its worker
    lives in the engine process: one import of torch and vLLM less, six seconds on two cores. With W4A8 switched off
    a W4A16 model really is computed in 16 bits (with AMX vLLM would round the activations to 8).
    """
    return {
        "VLLM_CPU_KVCACHE_SPACE": str(KV_CACHE_GIB),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(_cores()),  # Ray sets it to 1 for a worker of one logical CPU
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_INT4_W4A8": "0",
    }


def _answer_columns(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "limit", "generated_text", "num_input_tokens", "num_generated_tokens")}


def _response(row: dict[str, Any]) -> Response:
    error = row.get("__inference_error__") or ""
    if error:
        return Response(id=row["id"], text="", prompt_tokens=0, completion_tokens=0, finish_reason="error",
                        error=error[:500])  # fmt: skip
    made = row["num_generated_tokens"]  # ray.data.llm does not pass vLLM's own reason on
    return Response(
        id=row["id"],
        text=row["generated_text"],
        prompt_tokens=row["num_input_tokens"],
        completion_tokens=made,
        finish_reason="length" if made >= row["limit"] else "stop",
    )
