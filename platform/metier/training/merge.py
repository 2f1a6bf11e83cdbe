"""Folds an adapter into its base, and proves that it did: the merged model answers as base and adapter did together.

The arithmetic is float32; what is written has the base's own number format, so the merged model is as large and as fast as
the base. A base in bfloat16 rounds what the adapter adds; how much of it, and how far the answers moved, is measured on the
model that was written, read back from its folder.
"""

from __future__ import annotations

import gc
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from metier.errors import StepError
from metier.training.attach import attached, is_adapter, load_stored, tokenizer_of

Onto = Literal["full", "rounded"]
Seen = Callable[[bool, Any], None]
"""Called with (is it merged, model): once the adapter stands beside the base, and again with what was written."""

PROBES = (
    "What is the default of the parameter?",
    "Which function does this, and what does it return?",
    "The documentation says that a block holds rows, and that",
)
"""Texts on which logits are compared; the model need not know anything of them."""
TOLERANCE = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2}
"""Of the largest logit. In float32 sums in another order differ by about 1e-6; a format of few digits rounds every weight."""

NOTHING = 1e-6  # of the largest logit: sums in another order


@dataclass(frozen=True)
class Merged:
    """What the comparison gave: greatest differences between logits, and the largest logit as their scale.

    `moved` is the share of the adapted layers' weights that are not the base's any more; `rounding` the norm of what the
    written format rounded, as a share of the norm of what the adapter added.
    """

    from_adapter: float
    from_base: float
    largest_logit: float
    layers: int
    dtype: str = "float32"
    moved: float = 1.0
    rounding: float = 0.0


@dataclass(frozen=True)
class _Folded:
    layers: int
    moved: float
    rounding: float


def _unseen(merged: bool, model: Any) -> None:
    return None


def merge(
    base: Path, adapter: Path, output: Path, *, onto: Onto = "full", device: str = "cpu", seen: Seen = _unseen
) -> Merged:
    """Writes the merged model in the base's own format, with the adapter's tokenizer and chat template.

    One model is held at a time. `onto` rounded: the base's weights are first rounded to 4 bits, as qlora trained beside
    them. A folder with a whole model, as full training leaves it, has nothing to be merged: it is compared and copied.
    Raises InputError when the adapter is of another base, StepError when merging changed the answers, or when the adapter
    changes nothing.
    """
    import torch

    tokenizer = tokenizer_of(base, adapter)
    probes = [torch.tensor([tokenizer(text)["input_ids"]]) for text in PROBES]
    if is_adapter(adapter):
        model, stored = attached(base, adapter, device, rounded=onto == "rounded")
        with model.disable_adapter():
            before = _logits(model, probes)
        beside = _logits(model, probes)
        seen(False, model)
        folded = _fold(model, stored)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says of each layer that it is merged already
            model = model.merge_and_unload()
    else:
        model, _ = load_stored(base, device)
        before = _logits(model, probes)
        del model
        free()
        model, stored = load_stored(adapter, device)
        beside, folded = _logits(model, probes), _Folded(0, 1.0, 0.0)
    _write(model.to(stored), tokenizer, base, output)
    del model
    free()
    model, _ = load_stored(output, device)
    inside = _logits(model, probes)
    found = Merged(
        from_adapter=_difference(inside, beside),
        from_base=_difference(inside, before),
        largest_logit=max(float(one.abs().max()) for one in before),
        layers=folded.layers,
        dtype=str(stored).removeprefix("torch."),
        moved=folded.moved,
        rounding=folded.rounding,
    )
    refuse_unsound(found)
    seen(True, model)
    return found


def free() -> None:
    """Gives back the memory of a model that nobody holds any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _fold(model: Any, stored: Any) -> _Folded:
    """Adds the adapter to every layer's weight in float32, and rounds the sum to the stored format, layer by layer."""
    import torch
    from peft.tuners.lora import LoraLayer

    layers = [part for part in model.modules() if isinstance(part, LoraLayer)]
    moved = whole = 0
    added = lost = 0.0
    with torch.no_grad():
        for layer in layers:
            weight = layer.get_base_layer().weight
            before = weight.data
            weight.data = before.to(torch.float32, copy=True)  # merge() adds in place
            layer.merge()
            exact, rounded = weight.data, weight.data.to(stored)
            if not rounded.isfinite().all():
                raise StepError(f"the merged model holds values that {stored} can't: a layer's weights grew too large")
            moved, whole = moved + int((rounded != before.to(stored)).sum()), whole + rounded.numel()
            added += float((exact - before.float()).square().sum())
            lost += float((rounded.float() - exact).square().sum())
            weight.data = rounded.to(before.dtype)
    return _Folded(len(layers), moved / max(1, whole), (lost / added) ** 0.5 if added else 0.0)


def _write(model: Any, tokenizer: Any, base: Path, output: Path) -> None:
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    if (base / "generation_config.json").exists():
        shutil.copy(base / "generation_config.json", output)


def refuse_unsound(found: Merged) -> None:
    """Raises StepError when the merged model is not base plus adapter, or is the base alone."""
    if found.moved == 0:
        raise StepError(
            f"the adapter changes nothing: no weight of the base moves in {found.dtype}; "
            "train longer, or with a higher learning rate or alpha"
        )
    allowed = TOLERANCE.get(found.dtype, TOLERANCE["float32"]) * found.largest_logit
    if not found.from_adapter <= allowed:  # also where it is not a number
        raise StepError(
            "the merged model is not base and adapter together: "
            f"logits differ by {found.from_adapter:.4g}, {allowed:.4g} is allowed in {found.dtype}"
        )
    if found.from_base <= max(found.from_adapter, NOTHING * found.largest_logit):
        lost = "" if found.dtype == "float32" else f", within what {found.dtype} rounds"
        raise StepError(
            f"the adapter changes nothing: the merged model gives the base's logits{lost} (was it trained?)"
        )


def _logits(model: Any, probes: Sequence[Any]) -> list[Any]:
    import torch

    model.eval()
    with torch.inference_mode():
        return [model(input_ids=ids.to(model.device)).logits.float() for ids in probes]


def _difference(one: Sequence[Any], other: Sequence[Any]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))
