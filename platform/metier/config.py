"""Two bases for settings. What a stage does is StageConfig and is identity; what it runs on is Resources and is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metier.errors import InputError


def expanded(path: str | Path) -> Path:
    """The path with `~` spelt out. Raises InputError where that is nobody's home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: there is no such user") from None


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)


class StageConfig(_Strict):
    """Settings that change a stage's output. Every field enters the step's key."""

    def identity(self) -> dict[str, Any]:
        """The whole config as JSON-able values, defaults included."""
        return self.model_dump(mode="json")


class Resources(_Strict):
    """Where and how widely a stage runs. Never enters a key."""

    cpus: float = Field(1, gt=0, le=1024)
    """Logical CPUs for each task or worker."""
    gpus: float = Field(0, ge=0, le=64)
    """GPUs for each task or worker; a fraction shares a device."""
    workers: int = Field(1, ge=1, le=4096)
    """Workers (training) or engine replicas (generation)."""
    batch_rows: int = Field(256, ge=1, le=100_000)
    """Rows handed to an operator at once."""


Engine = Literal["auto", "ddp", "fsdp2", "zero2", "zero3"]
Sink = Literal["mlflow", "tensorboard", "wandb"]


class TrainResources(Resources):
    """Where and how widely training runs. The loss is the same on any number of workers and under any engine."""

    engine: Engine = "auto"
    """How workers share a model: each holds it whole (`ddp`), or a part of it (`fsdp2`; DeepSpeed's `zero2`, `zero3`); `auto`:
    `ddp`, and `fsdp2` for method full on several workers."""
    offload: bool = False
    """Keeps the optimiser's state, and with fsdp2 and zero3 the weights, in the hosts' memory: slower, and smaller on the GPU."""
    min_workers: int = Field(0, ge=0, le=4096)
    """Training starts, and goes on after a loss of nodes, with as few as these and as many as `workers`; 0: all or none."""
    checkpoints: str = ""
    """A folder that all nodes see, or s3://, gs://BUCKET/PATH, where checkpoints are saved while training goes on; empty: in
    the store."""
    gpu_memory_gb: float = Field(0, ge=0, le=10_000)
    """Memory of one GPU in 10^9 bytes, for `metier plan` where there is none; 0: that of the GPU here, if there is one."""
    usd_per_hour: float = Field(0, ge=0, le=100_000)
    """Price of one worker, for the cost that is shown; 0: none is shown."""
    track: tuple[Sink, ...] = ("mlflow",)
    """Where the course of training is written: `mlflow` (local SQLite), `tensorboard`, `wandb`."""

    @model_validator(mode="after")
    def _workers_in_order(self) -> TrainResources:
        if self.min_workers > self.workers:
            raise ValueError(f"min_workers is {self.min_workers} and workers {self.workers}: the first can't be larger")
        return self
