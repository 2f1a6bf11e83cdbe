"""How a release is served: what a Serve YAML or the command line may set. What is served stands in the release."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metier.errors import InputError
from metier.inference.engines import Dtype

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ServeSettings(BaseModel):
    """Settings of the service."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    store: str = "metier-store"
    """Folder of the store that holds the registry and the release."""
    model: str = ""
    """Registered name; empty: the only one there is."""
    release: str = ""
    """A release by its place in the store (register/<key>); empty: the one with the alias `production`."""
    require_key: bool = True
    """Refuse requests without the bearer token (METIER_API_KEY, or the file serve/api_key in the store)."""
    dtype: Dtype = "auto"
    """Number format of the weights. auto: bfloat16 where the processor computes it, else float32; on a GPU vLLM's choice."""
    gpus: int = Field(0, ge=0, le=64)
    """GPUs for each replica of the model; more than one splits the model over them."""
    model_replicas: int = Field(1, ge=1, le=1024)
    """Replicas of the language model, each with its own engine."""
    retriever_replicas: int = Field(1, ge=1, le=1024)
    """Replicas of the retriever."""
    door_replicas: int = Field(1, ge=1, le=1024)
    """Replicas of the HTTP door."""
    max_num_seqs: int = Field(16, ge=1, le=4096)
    """Answers that one engine writes at once."""
    max_waiting: int = Field(64, ge=1, le=100_000)
    """Requests in a door replica at once, those that wait included; further ones are refused with 503."""
    max_body_bytes: int = Field(262_144, ge=1024, le=16_777_216)
    """Longest request body, in bytes."""
    max_messages: int = Field(32, ge=1, le=1024)
    """Most messages in one conversation."""


def settings_from(values: dict[str, Any]) -> ServeSettings:
    """Settings from plain values. Raises InputError that names the key."""
    try:
        return ServeSettings.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        known = ", ".join(ServeSettings.model_fields)
        hint = f"; known keys: {known}" if fault["type"] == "extra_forbidden" else ""
        raise InputError(f"serve settings, {'.'.join(map(str, fault['loc']))}: {fault['msg']}{hint}") from None
