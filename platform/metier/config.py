"""Two bases for settings. What a stage does is StageConfig and is identity; what it runs on is Resources and is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

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
