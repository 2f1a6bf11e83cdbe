"""The card under training: measured, never assumed; and a fit put into force and proved on it by one step."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

from metier.errors import InputError, StepError
from metier.training.fit import ADAM_8BIT, PAGED, Card, Fit

ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF"
SIDE = 8192  # of the matrices of the measured product
REPEATS = 5
SMALLER = 0.9  # of the memory that a fit predicted, where it turned out to be too much
ATTEMPTS = 5
CONTEXT_BYTES = 0.6e9  # of a card, that the driver takes for a process
LISTED = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
TYPICAL = Card(memory=0, flops=2.5e14, bandwidth=1.2e12)  # of a card that can't be asked: its ratios are those of most


def allocation() -> dict[str, str]:
    """The environment in which the allocator extends what it holds: rows of all lengths would cut it to pieces.

    It is read once, when a process first touches its GPU.
    """
    return {ALLOCATOR: os.environ.get(ALLOCATOR, "expandable_segments:True")}


def let_segments_grow() -> None:
    """Puts `allocation` into force, in a process that has not touched its GPU yet."""
    os.environ.update(allocation())


def measured(device: str) -> Card:
    """Memory that this process may take, and what the device does a second. Takes 0.1 s and 0.4 GB for a moment."""
    import torch

    index = torch.device(device).index or 0
    free, total = torch.cuda.mem_get_info(index)
    mine = torch.cuda.memory_reserved(index)
    allowed = torch.cuda.get_per_process_memory_fraction(index) * total
    left = torch.randn(SIDE, SIDE, dtype=torch.bfloat16, device=device)
    right, out = torch.randn_like(left), torch.empty_like(left)
    product = _seconds(lambda: torch.mm(left, right, out=out))
    copy = _seconds(lambda: out.copy_(left))
    return Card(
        memory=min(free + mine, allowed),
        flops=2 * SIDE**3 / product,
        bandwidth=2 * left.nbytes / copy,
    )


def listed() -> Card | None:
    """The smallest GPU of this machine as its driver lists it, for a plan, which loads no torch; None without one."""
    if shutil.which(LISTED[0]) is None:
        return None
    said = subprocess.run(LISTED, capture_output=True, text=True, check=False).stdout.split()
    sizes = [float(word) * 2**20 for word in said if word.isdigit()]
    return dataclasses.replace(TYPICAL, memory=min(sizes) - CONTEXT_BYTES) if sizes else None


def _seconds(work: Any) -> float:
    import torch

    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    work()
    start.record()
    for _ in range(REPEATS):
        work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000 / REPEATS


def confirmed(fit: Fit, step: Callable[[Fit], int], smaller: Callable[[float], Fit], room: float) -> Fit:
    """The fit with the peak memory that `step` found, or the first smaller one whose peak has room.

    `step` computes as the fit says and gives the bytes of its peak, with what it did not hold yet; `smaller` makes a fit for
    so many bytes; `room`: all bytes that there are.
    """
    import torch

    for _ in range(ATTEMPTS):
        try:
            peak = step(fit)
            if peak <= room:
                return dataclasses.replace(fit, measured_bytes=peak)
        except torch.OutOfMemoryError:
            pass  # left before the next attempt: while it is handled, its frames hold what they allocated
        torch.cuda.empty_cache()
        fit = smaller(fit.predicted_bytes * SMALLER)
    raise StepError(
        f"training runs out of memory even in rows of {fit.piece_tokens} tokens; something else may use the card"
    )


def recompute(model: Any, layers: int | None) -> None:
    """Makes the first `layers` decoder layers keep their input alone and compute the rest twice; None: all of them."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    found = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    layers = len(found) if layers is None else layers
    if layers > len(found):
        raise StepError(
            f"training: {layers} layers can't be recomputed: transformers does that for {len(found)} of this model"
        )
    if layers:
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        base.gradient_checkpointing_enable({"use_reentrant": False})
    for number, layer in enumerate(found):
        layer.gradient_checkpointing = number < layers


def optimiser_of(kind: str, weights: list[Any], device: str, learning_rate: float, weight_decay: float) -> Any:
    """AdamW: torch's, fused on a GPU; or with moments of 8 bits (`adamw_8bit`, Dettmers et al. 2022), on a GPU only.

    `paged_adamw_8bit` keeps these in the host's memory, from where the driver fetches them page by page.
    """
    import torch

    settings: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay, "betas": (0.9, 0.999)}
    if kind not in (ADAM_8BIT, PAGED):
        return torch.optim.AdamW(weights, fused=device != "cpu" or None, **settings)
    if device == "cpu":
        raise InputError(f"train.optimiser {kind} needs a GPU; leave it at auto")
    from bitsandbytes.optim import AdamW8bit, PagedAdamW8bit

    return (PagedAdamW8bit if kind == PAGED else AdamW8bit)(weights, **settings)
