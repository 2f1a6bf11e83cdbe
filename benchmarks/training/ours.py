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
from metier.training.course import Point, StepReport
from metier.training.encoding import Example
from metier.training.feed import Feed, Schedule, scheduled, tables_of, write_steps
from metier.training.loop import Run, train
from metier.training.model import AnyMethod, FullMethod, LoraMethod, QloraMethod
from metier.training.preparation import prepared
from metier.training.recipe import Recipe
from metier.training.storage import Storage

METHODS: dict[str, AnyMethod] = {
    "lora": LoraMethod(),
    "qlora": QloraMethod(),
    "full": FullMethod(),
}
RECIPE: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-4, "batch_tokens": 8192, "checkpoints_per_epoch": 1}


class Enough(Exception):
    """As many steps as were asked for are done."""


def schedule_of(recipe: Recipe, examples: int, device: str) -> Schedule:
    """The benchmark's examples as steps."""
    rows = [Example(ids, ids) for ids in token_lists(examples)]
    return scheduled(rows, (), recipe, rows=recipe.packs_rows(device))


def longest_in(schedule: Schedule) -> int:
    """Tokens of the longest example."""
    return max(len(e.ids) for step in schedule.steps() for pack in step for e in pack.examples)


def run(
    model: Path, method: str, warm: int, steps: int, memory_gb: float = 0, examples: int = 480, **recipe: Any
) -> dict[str, Any]:
    """Real tokens a second after `warm` steps, peak memory and what was predicted of it. `memory_gb`: all that may be taken."""
    let_segments_grow()
    if memory_gb:
        torch.cuda.set_per_process_memory_fraction(memory_gb * 1e9 / torch.cuda.get_device_properties(0).total_memory)
    settings = Recipe(**(RECIPE | recipe))
    schedule = schedule_of(settings, examples, "cuda:0")
    begun = time.perf_counter()
    engine, fit = prepared(str(model), METHODS[method], settings, "cuda:0", longest_in(schedule))
    loaded = time.perf_counter() - begun
    assert fit is not None
    marks: list[float] = []
    tokens = 0

    def follow(told: StepReport | Point) -> None:
        nonlocal tokens
        if not isinstance(told, StepReport):
            return
        torch.cuda.synchronize()
        if told.step == warm:
            torch.cuda.reset_peak_memory_stats()
        if told.step >= warm:
            marks.append(time.perf_counter())
        if told.step > warm:
            tokens += told.tokens
        if told.step == warm + steps:
            raise Enough

    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "train.arrow"
        write_steps(file, schedule.steps())
        given = Run(
            engine,
            Feed(lambda: tables_of(file), lambda: ()),
            [len(epoch) for epoch in schedule.epochs],
            pad=0,
            storage=Storage(work),
            recipe=settings,
            identity={},
            fit=fit,
            tell=follow,
        )
        with contextlib.suppress(Enough):
            train(given)
    return {
        "tokens_per_second": round(tokens / (marks[-1] - marks[0])),
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
        "reserved_gib": round(torch.cuda.max_memory_reserved() / 2**30, 2),
        "predicted_gib": round(fit.predicted_bytes / 2**30, 2),
        "predicted_tokens_per_second": fit.tokens_per_second,
        "tokens_a_step": round(tokens / (len(marks) - 1)),
        "load_seconds": round(loaded, 1),
        "fit": f"rows of {fit.piece_tokens}, {fit.checkpointing} checkpointing ({fit.recomputed} of {fit.layers} layers)"
        + ("" if fit.dense else ", packed weights"),
    }
