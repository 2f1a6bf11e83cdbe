"""Quantises one model folder with llm-compressor, in an environment of its own. Stands alone: imports nothing of Metier.

`python -I quantise_worker.py JOB.json` reads `{model, output, format, group_sizes, rows, seed, parent}`, where `rows` are
the token ids to calibrate on; prints one JSON line of progress a layer, and at the end one with what was made. It dies
with the process `parent`.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
LAYER_DONE = "Quantizing "  # how llm-compressor's log lines begin, one for each layer
OUTPUT_LAYER = "lm_head"  # shares its weights with the embedding, and costs most accuracy


def say(**fact: Any) -> None:
    """One JSON line for the parent."""
    print(json.dumps(fact), flush=True)


def die_with(parent: int) -> None:
    """Lets the kernel kill this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before this line
            sys.exit(1)


def group_size_of(model: Any, sizes: list[int]) -> int:
    """The largest of `sizes` that divides the input width of every layer that is quantised."""
    widths = {layer.in_features for _, layer in linear_layers(model)}
    fitting = [size for size in sorted(sizes, reverse=True) if all(width % size == 0 for width in widths)]
    if not fitting:
        raise SystemExit(f"no group size of {sizes} divides all layer widths {sorted(widths)}")
    return fitting[0]


def linear_layers(model: Any) -> list[tuple[str, Any]]:
    """The layers that are quantised, by name."""
    import torch

    found = [(name, part) for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)]
    return [(name, part) for name, part in found if OUTPUT_LAYER not in name]


def recipe_of(form: str, group_size: int) -> Any:
    """llm-compressor's modifier for a format."""
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier

    if form == "w8a8":  # int8 weights a channel, int8 activations a token, scaled while serving: rounding suffices
        return QuantizationModifier(targets="Linear", scheme="W8A8", ignore=[OUTPUT_LAYER])
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": group_size}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return GPTQModifier(config_groups=groups, ignore=[OUTPUT_LAYER])


def batches(rows: list[list[int]]) -> Any:
    """Token ids as a loader of one row a batch, in the order given."""
    import torch

    def tensors(batch: list[list[int]]) -> dict[str, Any]:
        ids = torch.tensor(batch)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    data: Any = rows  # a list is a data set: it has a length and places
    return torch.utils.data.DataLoader(data, batch_size=1, collate_fn=tensors)


def report_layers(total: int) -> None:
    """Turns llm-compressor's log lines into progress, and the rest of its log off."""
    from loguru import logger

    done = 0

    def count(message: Any) -> None:
        nonlocal done
        if str(message).startswith(LAYER_DONE):
            done = min(total, done + 1)
            say(done=done, total=total, what="layers")

    logger.remove()
    logger.add(count, format="{message}", level="INFO")
    logger.add(sys.stderr, level="WARNING")


def quantise(job: dict[str, Any]) -> None:
    """Carries the job out: float32 arithmetic on a CPU, bfloat16 on a GPU; what stays unquantised is saved in bfloat16."""
    import torch
    from llmcompressor import oneshot
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(job["seed"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(
        job["model"], dtype=dtype, use_safetensors=True, trust_remote_code=False
    )
    model = model.to(device)
    tied = model.config.tie_word_embeddings
    layers = linear_layers(model)
    group_size = group_size_of(model, job["group_sizes"]) if job["format"] == "w4a16" else 0
    report_layers(len(layers))
    data = {"dataset": batches(job["rows"]), "num_calibration_samples": len(job["rows"])} if group_size else {}
    oneshot(
        model=model,
        processor=AutoTokenizer.from_pretrained(job["model"], trust_remote_code=False),
        recipe=recipe_of(job["format"], group_size),
        tie_word_embeddings=tied,
        **data,
    )
    for _, part in model.named_modules():
        if not hasattr(part, "quantization_scheme"):
            for parameter in part.parameters(recurse=False):
                parameter.data = parameter.data.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.save_pretrained(job["output"], save_compressed=True)
    (Path(job["output"]) / "recipe.yaml").unlink(missing_ok=True)
    say(method="GPTQ" if group_size else "rounding", group_size=group_size, layers=len(layers))


if __name__ == "__main__":
    work = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    die_with(work["parent"])
    quantise(work)
