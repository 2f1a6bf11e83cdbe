"""Metier's loop as a training worker runs it: the fit to the card, packed rows, checks and clipping included."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.training.corpus import token_lists
from metier.training.card import let_segments_grow
from metier.training.encoding import Example
from metier.training.loop import Recipe, Run, train
from metier.training.model import AnyMethod, FullMethod, LoraMethod, QloraMethod
from metier.training.preparation import prepared

METHODS: dict[str, AnyMethod] = {
    "lora": LoraMethod(),
    "qlora": QloraMethod(),
    "full": FullMethod(),
}


def run(
    model: Path, method: str, warm: int, steps: int, memory_gb: float = 0, examples: int = 480, **recipe: Any
) -> dict[str, Any]:
    """Real tokens a second after `warm` steps, peak memory and what was predicted of it. `memory_gb`: all that may be taken."""
    let_segments_grow()
    if memory_gb:
        torch.cuda.set_per_process_memory_fraction(memory_gb * 1e9 / torch.cuda.get_device_properties(0).total_memory)
    rows = [Example(ids, ids) for ids in token_lists(examples)]
    settings = Recipe(
        **({"epochs": 1, "learning_rate": 1e-4, "batch_tokens": 8192, "checkpoints_per_epoch": 1} | recipe)
    )
    longest = max(len(e.ids) for e in rows)
    begun = time.perf_counter()
    trained, fit = prepared(str(model), METHODS[method], settings, "cuda:0", longest)
    loaded = time.perf_counter() - begun
    seen = {"tokens": 0}
    embedding = next(m for m in trained.modules() if isinstance(m, torch.nn.Embedding))
    embedding.register_forward_pre_hook(lambda _, given: seen.__setitem__("tokens", seen["tokens"] + given[0].numel()))
    marks: list[tuple[float, int]] = []

    class Enough(Exception):
        pass

    def follow(done: int, total: int, what: str) -> None:
        torch.cuda.synchronize()
        if done == warm:
            torch.cuda.reset_peak_memory_stats()
        if done >= warm:
            marks.append((time.perf_counter(), seen["tokens"]))
        if done == warm + steps:
            raise Enough

    with tempfile.TemporaryDirectory() as work:
        given = Run(
            trained, rows, (), pad=0, work=Path(work), recipe=settings, device="cuda:0", fit=fit, progress=follow
        )
        with contextlib.suppress(Enough):
            train(given)
    took, tokens = marks[-1][0] - marks[0][0], marks[-1][1] - marks[0][1]
    assert fit is not None
    return {
        "tokens_per_second": round(tokens / took),
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
        "reserved_gib": round(torch.cuda.max_memory_reserved() / 2**30, 2),
        "predicted_gib": round(fit.predicted_bytes / 2**30, 2),
        "predicted_tokens_per_second": fit.tokens_per_second,
        "tokens_a_step": round(tokens / (len(marks) - 1)),
        "load_seconds": round(loaded, 1),
        "fit": f"rows of {fit.piece_tokens}, {fit.checkpointing} checkpointing ({fit.recomputed} of {fit.layers} layers)"
        + ("" if fit.dense else ", packed weights"),
    }
