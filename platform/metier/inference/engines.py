"""The engines' settings, as one tagged union for a stage's config, and how the plain ones are opened.

vLLM is not opened here: it runs on Ray, through `metier.execution.generation`, which takes all three kinds.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from metier.config import StageConfig
from metier.errors import InputError
from metier.inference.protocol import Engine

Dtype = Literal["auto", "float32", "bfloat16"]


class VllmEngine(StageConfig):
    """vLLM through ray.data.llm: the quickest, and what serves in production."""

    engine: Literal["vllm"] = "vllm"
    """Which engine: vLLM."""
    dtype: Dtype = "auto"
    """Number format of the weights. auto: bfloat16 where the processor computes it (twice as fast), else float32."""
    max_model_len: int = Field(1024, ge=64, le=131_072)
    """Longest prompt and answer together, in tokens."""
    max_num_seqs: int = Field(64, ge=1, le=4096)
    """Requests answered at once."""
    enforce_eager: bool = True
    """Skip compilation. Compiled starts take minutes on a CPU; they pay for thousands of requests."""


class TransformersEngine(StageConfig):
    """transformers' batched greedy generation in one process a worker: deterministic, no further package needed."""

    engine: Literal["transformers"] = "transformers"
    """Which engine: transformers."""
    dtype: Dtype = "float32"
    """Number format of the weights."""
    batch_rows: int = Field(16, ge=1, le=1024)
    """Requests answered at once; batches are cut from the requests sorted by length, so they enter the result."""


class HttpEngine(StageConfig):
    """Any OpenAI-compatible endpoint: a larger teacher, or a model that is served already."""

    engine: Literal["http"] = "http"
    """Which engine: an endpoint."""
    base_url: str = Field(pattern=r"^https?://[^\s]+$")
    """The endpoint, up to and including /v1."""
    model: str = Field(min_length=1)
    """The model's name at the endpoint."""
    api_key_env: str = Field("", pattern=r"^([A-Z_][A-Z0-9_]*)?$")
    """Name of the environment variable that holds the key; empty: no key."""
    concurrency: int = Field(8, ge=1, le=1024)
    """Requests in flight at once."""
    max_attempts: int = Field(5, ge=1, le=20)
    """Tries for one request before its failure is written down."""
    max_seconds: float = Field(120.0, gt=0, le=3600)
    """Longest wait for one answer, in seconds."""

    @field_validator("base_url")
    @classmethod
    def _without_credentials(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query or parts.fragment or ";" in url:
            raise ValueError(
                "an endpoint's address holds no user, password, query or fragment: name the key's variable"
            )
        return url


EngineConfig = Annotated[VllmEngine | TransformersEngine | HttpEngine, Field(discriminator="engine")]


def open_engine(config: TransformersEngine | HttpEngine, model: str, device: str = "cpu") -> Engine:
    """A running engine. `model` is a local folder (an endpoint knows its own). Raises InputError for what can't run."""
    if isinstance(config, HttpEngine):
        from metier.inference.http_engine import HttpGenerator

        return HttpGenerator(config)
    if isinstance(config, TransformersEngine):
        from metier.inference.transformers_engine import open_transformers

        return open_transformers(model, config, device)
    raise InputError("the vLLM engine runs on Ray: metier.execution.generation opens it")
