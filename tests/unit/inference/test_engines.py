from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from metier.errors import InputError
from metier.inference.engines import EngineConfig, HttpEngine, TransformersEngine, VllmEngine, open_engine

ANY = TypeAdapter(EngineConfig)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"engine": "vllm"}, VllmEngine),
        ({"engine": "transformers", "batch_rows": 4}, TransformersEngine),
        ({"engine": "http", "base_url": "http://127.0.0.1:1/v1", "model": "m"}, HttpEngine),
    ],
)
def test_the_tag_chooses_the_engine(given, kind):
    assert isinstance(ANY.validate_python(given), kind)


@pytest.mark.parametrize(
    "given",
    [
        {"engine": "llama.cpp"},
        {"engine": "vllm", "batch_rows": 4},  # another engine's key
        {"engine": "vllm", "max_num_seqs": 0},
        {"engine": "http", "base_url": "ftp://host/v1", "model": "m"},
        {"engine": "http", "base_url": "http://host/v1", "model": "m", "api_key_env": "sk-the-key-itself"},
        {"engine": "http", "base_url": "https://user:secret@host/v1", "model": "m"},
        {"engine": "http", "base_url": "https://host/v1?key=secret", "model": "m"},
    ],
)
def test_what_can_not_be_meant_is_refused(given):
    with pytest.raises(ValidationError):
        ANY.validate_python(given)


def test_vllm_is_opened_by_generation_alone():
    with pytest.raises(InputError, match="runs on Ray"):
        open_engine(VllmEngine(), "model")  # type: ignore[arg-type]
