"""Merges the trained adapter into its base: one plain model that every engine loads."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from metier.config import StageConfig
from metier.errors import InputError
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.models import ModelSource, resolve
from metier.training.merge import is_adapter, merge

MODEL, NUMBERS = "model", "merge.json"


class Config(StageConfig):
    """Nothing is left to choose: the merge is exact, in the base's full precision."""


def adapter_folder(location: str) -> Path:
    """What was trained, inside the train stage's output or the folder itself. Raises InputError where there is none."""
    for folder in (Path(location) / "adapter", Path(location)):
        if is_adapter(folder) or (folder / "config.json").exists():
            return folder
    raise InputError(f"adapter {location}: the folder holds no adapter_config.json; give the output of train")


def run(context: Context[Config]) -> Counts:
    """Writes model/ and merge.json (how far the merged logits are from the adapter's and from the base's)."""
    adapter, base = adapter_folder(context.location("adapter")), resolve(context.location("base"))
    context.progress(0, 1, "models")
    found = merge(Path(base), adapter, context.output.path(MODEL))
    context.output.json(NUMBERS, dataclasses.asdict(found))
    context.progress(1, 1, "models")
    return Counts()


STAGE = Stage(
    name="merge",
    revision=1,
    summary="Merges the adapter into its base, and checks that the answers stay the same.",
    config=Config,
    inputs={
        "adapter": Input("output of train, or a folder with a PEFT adapter"),
        "base": Input("base model that the adapter was trained on: a name, a folder or a hub id", opens=ModelSource),
    },
    outputs={MODEL: "the merged model with tokenizer and chat template", NUMBERS: "the differences of logits"},
    run=run,
)
