"""Folds an adapter into its base, and proves that it did: the merged model answers as base and adapter did together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.errors import InputError, StepError

PROBES = (
    "What is the default of the parameter?",
    "Which function does this, and what does it return?",
    "The documentation says that a block holds rows, and that",
)
"""Texts on which logits are compared; the model need not know anything of them."""
TOLERANCE = 1e-3  # of the largest logit; float32 sums in another order differ by about 1e-6


@dataclass(frozen=True)
class Merged:
    """What the comparison gave: greatest differences between logits, and the largest logit as their scale."""

    from_adapter: float
    from_base: float
    largest_logit: float
    layers: int


def merge(base: Path, adapter: Path, output: Path) -> Merged:
    """Writes the merged model in the base's full precision, with the adapter's tokenizer and chat template.

    A folder with a whole model, as full training leaves it, has nothing to be merged: it is compared and copied. Raises
    InputError when the adapter is of another base, StepError when merging changed the answers, or when the adapter
    changes nothing.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    plain: Any = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32, use_safetensors=True)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(adapter))
    _refuse_foreign(adapter, len(tokenizer), plain)
    probes = [torch.tensor([tokenizer(text)["input_ids"]]) for text in PROBES]
    before = _logits(plain, probes)
    if is_adapter(adapter):
        adapted = _adapted(plain, base, adapter)
        beside = _logits(adapted, probes)
        layers = sum(hasattr(part, "lora_A") for part in adapted.modules())
        merged = adapted.merge_and_unload()
        inside = _logits(merged, probes)
    else:
        merged = AutoModelForCausalLM.from_pretrained(str(adapter), dtype=torch.float32, use_safetensors=True)
        layers, inside = 0, _logits(merged, probes)
        beside = inside
    found = Merged(
        from_adapter=_difference(inside, beside),
        from_base=_difference(inside, before),
        largest_logit=max(float(one.abs().max()) for one in before),
        layers=layers,
    )
    refuse_unsound(found)
    merged.save_pretrained(output)
    tokenizer.save_pretrained(output)
    if (base / "generation_config.json").exists():
        shutil.copy(base / "generation_config.json", output)
    return found


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a PEFT adapter; full training leaves a whole model."""
    return (folder / "adapter_config.json").exists()


def _adapted(plain: Any, base: Path, adapter: Path) -> Any:
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(plain, str(adapter))
    except (RuntimeError, ValueError) as error:
        raise InputError(f"adapter {adapter} does not fit the base {base}: {str(error).splitlines()[0]}") from None


def refuse_unsound(found: Merged) -> None:
    """Raises StepError when the merged model is not base plus adapter, or is the base alone."""
    allowed = TOLERANCE * found.largest_logit
    if not found.from_adapter <= allowed:  # also where it is not a number
        raise StepError(
            "the merged model is not base and adapter together: "
            f"logits differ by {found.from_adapter:.4g}, {allowed:.4g} is allowed"
        )
    if found.from_base <= max(found.from_adapter, 1e-7):
        raise StepError("the adapter changes nothing: the merged model gives the base's logits (was it trained?)")


def _refuse_foreign(adapter: Path, tokens: int, model: Any) -> None:
    rows = model.get_input_embeddings().num_embeddings
    if tokens > rows:
        raise InputError(f"adapter {adapter} is of another base: its tokenizer has {tokens} tokens, the base {rows}")


def _logits(model: Any, probes: Sequence[Any]) -> list[Any]:
    import torch

    model.eval()
    with torch.inference_mode():
        return [model(input_ids=ids).logits for ids in probes]


def _difference(one: Sequence[Any], other: Sequence[Any]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))
