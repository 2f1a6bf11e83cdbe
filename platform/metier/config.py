"""Two bases for settings. What a stage does is StageConfig and is identity; what it runs on is Resources and is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from metier.errors import InputError


def expanded(path: str | Path) -> Path:
    """The path with `~` spelt out. Raises InputError where that is nobody's home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: there is no such user") from None


SCHEMES = ("s3://", "gs://")


def is_url(folder: str) -> bool:
    """Whether this is a folder in an object store."""
    return folder.startswith(SCHEMES)


def refuse_credentials(folder: str) -> str:
    """The folder, unless it is a URL that names a user, a key or a password: ValueError."""
    user, at, _ = unquote(folder).partition("://")[2].rpartition("@")  # %40 is read as @ where the URL is opened
    in_key = "/" in user and ":" not in user  # an object's name may hold an @; USER:PASSWORD@ may hold slashes
    if at and user != "anonymous" and not in_key:  # which is how gs:// spells a public bucket
        raise ValueError("a URL names no key and no user: credentials come from the environment")
    return folder


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, tree: Any) -> Any:
        """Pydantic would take true for 1, and YAML reads yes and on as true."""
        for name, value in tree.items() if isinstance(tree, dict) else ():
            parts = list(value.values()) if isinstance(value, dict) else value
            given = parts if isinstance(parts, list | tuple) else (parts,)
            if name in cls.model_fields and any(isinstance(one, bool) for one in given):
                kinds = _kinds(cls.model_fields[name].annotation)
                if {int, float} & kinds and bool not in kinds:
                    raise ValueError(f"{name}: true and false (yes, no, on, off) are no numbers: write one")
        return tree


def _kinds(annotation: Any) -> set[Any]:
    """The types that a field's type is built of."""
    parts = get_args(annotation)
    return {kind for part in parts for kind in _kinds(part)} if parts else {annotation}


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
    """A folder that all nodes see (in an experiment file relative to that file), or s3://, gs://BUCKET/PATH, where checkpoints
    are saved while training goes on; empty: in the store."""
    gpu_memory_gb: float = Field(0, ge=0, le=10_000)
    """Memory of one GPU in 10^9 bytes, for `metier plan` where there is none; 0: that of the GPU here, if there is one."""
    usd_per_hour: float = Field(0, ge=0, le=100_000)
    """Price of one worker, for the cost that is shown; 0: none is shown."""
    track: tuple[Sink, ...] = ("mlflow",)
    """Where the course of training is written: `mlflow` (local SQLite), `tensorboard`, `wandb`."""

    @field_validator("checkpoints")
    @classmethod
    def _no_secret(cls, value: str) -> str:
        refuse_credentials(value)
        plain = is_url(value) and not set("?#@\0") & set(value) and value.partition("://")[2].strip("/")
        if not plain and (":/" in value or "\0" in value):
            raise ValueError("a folder, or a plain s3://BUCKET/PATH or gs://BUCKET/PATH")
        return value

    def anchored(self, base: Path) -> Self:
        """With the checkpoints' path seen from `base`; a URL is the same from everywhere."""
        if not self.checkpoints or is_url(self.checkpoints):
            return self
        return self.model_copy(update={"checkpoints": str((base / expanded(self.checkpoints)).absolute())})

    @model_validator(mode="after")
    def _workers_in_order(self) -> TrainResources:
        if self.min_workers > self.workers:
            raise ValueError(f"min_workers is {self.min_workers} and workers {self.workers}: the first can't be larger")
        if self.gpus > 1:
            raise ValueError(
                f"gpus is {self.gpus:g}: a worker trains on one GPU; set gpus to 1 and workers to their number"
            )
        if 0 < self.gpus < 1 < self.workers:
            raise ValueError(
                f"gpus is {self.gpus:g}: workers of one training can't share a GPU; set gpus to 1, or workers to 1"
            )
        return self
