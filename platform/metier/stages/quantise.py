"""Quantises the merged model to one format, where this machine's engine really executes that format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field

from metier.config import StageConfig
from metier.execution.step import Context, Input, Stage
from metier.inference.probe import WeightFormat, can_execute
from metier.inference.protocol import chat, written_day
from metier.lineage.manifest import Counts
from metier.models import ModelSource, resolve
from metier.records import Dialogue, record_id
from metier.training.quantise import quantise

MODEL, DESCRIPTION = "model", "quantise.json"


class Config(StageConfig):
    """Which format, and what GPTQ calibrates on."""

    format: WeightFormat = "w8a8"
    """w4a16: 4-bit weights by GPTQ; w8a8: 8-bit weights and, while serving, activations."""
    calibration_dialogues: int = Field(48, ge=1, le=10_000)
    """Training dialogues that GPTQ sees; w8a8 needs none."""
    calibration_tokens: int = Field(256, ge=16, le=131_072)
    """Longest calibration text, in tokens; what is longer is cut."""
    seed: int = Field(0, ge=0)
    """Another seed calibrates on other dialogues."""


def calibration_rows(dialogues: Iterable[Dialogue], model: str, config: Config) -> list[list[int]]:
    """Token ids of a seeded choice of dialogues, as the model's chat template writes them."""
    from metier.inference.transformers_engine import load_tokenizer

    tokenizer = load_tokenizer(model)
    ordered = sorted(dialogues, key=lambda d: record_id("calibration", [config.seed, d.id]))
    chosen = ordered[: config.calibration_dialogues]
    form: dict[str, Any] = {"tokenize": True, "return_dict": False, "strftime_now": written_day}
    rendered = (tokenizer.apply_chat_template(chat(d.messages), **form) for d in chosen)
    return [list(ids)[: config.calibration_tokens] for ids in rendered]


def run(context: Context[Config]) -> Counts:
    """Writes model/ and quantise.json; where the engine can't execute the format, quantise.json alone says why."""
    config, model = context.config, resolve(context.location("model"))
    executable, why = can_execute(config.format)
    description = {"format": config.format, "executable": executable, "why": why}
    if not executable:
        context.output.json(DESCRIPTION, description | {"bytes_before": weights_bytes(Path(model)), "bytes_after": 0})
        return Counts()
    rows = calibration_rows(context.records("dialogues", Dialogue), model, config)
    output = context.output.path(MODEL)
    context.progress(0, 0, "loading the quantiser")
    made = quantise(Path(model), output, config.format, rows, config.seed, context.progress)
    sizes = {"bytes_before": weights_bytes(Path(model)), "bytes_after": weights_bytes(output)}
    context.output.json(DESCRIPTION, description | made | sizes)
    return Counts()


def weights_bytes(folder: Path) -> int:
    """Bytes of a model's weights on disk."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


STAGE = Stage(
    name="quantise",
    revision=1,
    summary="Quantises a model to a format that this machine's engine executes; says so where it doesn't.",
    config=Config,
    inputs={
        "model": Input("the merged model: output of merge, a name, a folder or a hub id", opens=ModelSource),
        "dialogues": Input("training dialogues, for calibration", record=Dialogue),
    },
    outputs={MODEL: "the quantised model (absent where not executable)", DESCRIPTION: "format, why, bytes"},
    run=run,
)
