"""The model on its device, ready to be trained: chosen for the card, loaded, put on the fast path, and proved by a step."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

from metier.training import card
from metier.training.encoding import Example
from metier.training.fit import MOMENT_BYTES, Fit, Shape, choose
from metier.training.gradient import Peers, Pieces, arithmetic, backward
from metier.training.loop import Recipe, packs_rows
from metier.training.model import AnyMethod, load_trainable, trainable
from metier.training.packs import alone

PROBE_TOKENS = 256  # of an example in the step that confirms a fit


def prepared(
    base: str, method: AnyMethod, recipe: Recipe, device: str, longest: int, workers: int = 1
) -> tuple[Any, Fit | None]:
    """The model and how it fits the card. `longest`: tokens of the longest example.

    No fit is made on a CPU, nor for a model whose shape is not a plain decoder's: there the recipe alone decides.
    """
    fit = None
    on_card = device != "cpu"
    if on_card:
        card.let_segments_grow()
    shape = Shape.of(base) if on_card else None
    if shape is not None:
        room = card.measured(device)
        choice = partial(
            choose,
            shape,
            method,
            most_tokens=recipe.piece_tokens or max(1, recipe.batch_tokens // workers),
            longest=max(longest, recipe.piece_tokens, min(recipe.pack_tokens, recipe.batch_tokens)),
            checkpointing=recipe.checkpointing,
            optimiser=recipe.optimiser,
        )
        fit = choice(room)
    model = load_trainable(base, method, recipe.seed, device, dense=fit.dense if fit else not on_card)
    if packs_rows(recipe, device):
        from metier.training.fast_layers import accelerate

        accelerate(model)
    if shape is not None and fit is not None:
        smaller = partial(choice, dense=fit.dense)
        fit = card.confirmed(
            fit,
            lambda tried: _peak(model, tried, shape.words, recipe, device),
            lambda memory: smaller(dataclasses.replace(room, memory=memory)),
        )
    elif on_card and recipe.checkpointing == "full":
        card.recompute(model, None)
    return model, fit


def _peak(model: Any, fit: Fit, words: int, recipe: Recipe, device: str) -> int:
    """Bytes at the peak of a step over a row as long as the fit's, every token learnt, with room for the moments."""
    import torch

    card.recompute(model, fit.recomputed)
    ids = [i % words for i in range(PROBE_TOKENS)]
    number = -(-fit.piece_tokens // PROBE_TOKENS)
    pieces = Pieces(number * PROBE_TOKENS, 0, device, arithmetic(recipe.precision, device), packs_rows(recipe, device))
    weights = trainable(model)
    torch.cuda.reset_peak_memory_stats(device)
    model.train()
    try:
        backward(model, alone([Example(ids, ids)] * number), weights, pieces, Peers())
    finally:
        for weight in weights.values():
            weight.grad = None
    return int(
        torch.cuda.max_memory_allocated(device) + MOMENT_BYTES[fit.optimiser] * sum(p.numel() for p in weights.values())
    )
