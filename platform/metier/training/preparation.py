"""The model on its device, ready to be trained: chosen for the card, loaded, put on the fast path, and proved by a step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial

from metier.training import card
from metier.training.encoding import Example
from metier.training.engine import Engine, Peers, Replicated
from metier.training.engines import open_spread
from metier.training.fit import MOMENT_BYTES, Card, Fit, choose
from metier.training.gradient import Pieces, Share, arithmetic, backward
from metier.training.model import AnyMethod, load_trainable, trainable
from metier.training.packs import alone
from metier.training.recipe import Recipe
from metier.training.shape import Shape
from metier.training.sharding import DDP, Sharding, sharding_of

PROBE_TOKENS = 256  # of an example in the step that confirms a fit
ALONE = Peers()


def choice(shape: Shape, method: AnyMethod, recipe: Recipe, longest: int, sharding: Sharding) -> Callable[..., Fit]:
    """The choice of a fit for a card, as the recipe leaves it open. `longest`: tokens of the longest pack known."""
    return partial(
        choose,
        shape,
        method,
        most_tokens=recipe.piece_tokens or max(1, recipe.batch_tokens // sharding.workers),
        longest=max(longest, recipe.piece_tokens, recipe.pack_tokens),
        checkpointing=recipe.checkpointing,
        optimiser=recipe.optimiser,
        sharding=sharding,
    )


def prepared(
    base: str,
    method: AnyMethod,
    recipe: Recipe,
    device: str,
    longest: int,
    peers: Peers = ALONE,
    engine: str = "auto",
    offload: bool = False,
) -> tuple[Engine, Fit | None]:
    """The model in its engine, and how it fits the card. `longest`: tokens of the longest pack.

    No fit is made on a CPU, nor for a model whose shape is not a plain decoder's: there the recipe alone decides. The fit of a
    model that is spread over workers is predicted and not tried: one that ran out of memory would leave the others waiting.
    """
    on_card, fit = device != "cpu", None
    sharding = sharding_of(engine, method, peers.world, offload, recipe.optimiser)
    if on_card:
        card.let_segments_grow()
    shape = Shape.of(base) if on_card else None
    if shape is not None:
        room = _least(card.measured(device), peers, device)
        fitting = choice(shape, method, recipe, longest, sharding)
        fit = dataclasses.replace(fitting(room), flops=room.flops)
    if sharding.engine != DDP:
        spread = open_spread(sharding.engine, base, method, recipe, device, peers, offload)
        if on_card:
            card.recompute(spread.model, fit.recomputed if fit else None)
        return spread, fit
    model = load_trainable(base, method, recipe.seed, device, dense=fit.dense if fit else not on_card)
    if recipe.packs_rows(device):
        from metier.training.fast_layers import accelerate

        accelerate(model)
    if on_card and fit is None and recipe.checkpointing == "full":
        card.recompute(model, None)
    moments = fit.optimiser if fit else recipe.optimiser
    weights = list(trainable(model).values())
    optimiser = card.optimiser_of(moments, weights, device, recipe.learning_rate, recipe.weight_decay)
    if shape is not None and fit is not None:
        alone_here = Replicated(model, optimiser, device, ALONE)  # others don't wait for whoever runs out of memory
        smaller = partial(fitting, dense=fit.dense, optimiser=fit.optimiser)  # what is built already
        fit = card.confirmed(
            fit,
            lambda tried: _peak(alone_here, tried, shape.words, recipe),
            lambda memory: dataclasses.replace(smaller(dataclasses.replace(room, memory=memory)), flops=room.flops),
            room.memory,
        )
        fit = _smallest(fit, peers, device)
        card.recompute(model, fit.recomputed)
    return Replicated(model, optimiser, device, peers), fit


def _smallest(fit: Fit, peers: Peers, device: str) -> Fit:
    """The fit that every worker's card has room for."""
    import torch

    numbers = torch.tensor([fit.piece_tokens, -fit.recomputed, -fit.measured_bytes], dtype=torch.int64, device=device)
    peers.least_(numbers)
    tokens, recomputed, measured = numbers.tolist()
    return dataclasses.replace(fit, piece_tokens=tokens, recomputed=-recomputed, measured_bytes=-measured)


def _least(room: Card, peers: Peers, device: str) -> Card:
    """What every worker's card can do: one fit serves all."""
    import torch

    numbers = torch.tensor(dataclasses.astuple(room), dtype=torch.float64, device=device)
    peers.least_(numbers)
    return Card(*numbers.tolist())


def _peak(engine: Engine, fit: Fit, words: int, recipe: Recipe) -> int:
    """Bytes at the peak of a step over a row as long as the fit's, every token learnt, with room for the moments."""
    import torch

    device, world = engine.device, engine.peers.world
    card.recompute(engine.model, fit.recomputed)
    ids = [i % words for i in range(PROBE_TOKENS)]
    number = -(-fit.piece_tokens // PROBE_TOKENS)
    rows = recipe.packs_rows(device)
    pieces = Pieces(number * PROBE_TOKENS, 0, device, arithmetic(recipe.precision, device), rows)
    packs = alone([Example(ids, ids)] * (number * world))
    torch.cuda.reset_peak_memory_stats(device)
    engine.model.train()
    try:
        backward(engine, packs, Share.of(packs, pieces, engine), pieces)
    finally:
        engine.forget()
    moments = MOMENT_BYTES[fit.optimiser] * sum(math.prod(shape) for shape in engine.shapes().values())
    return int(torch.cuda.max_memory_allocated(device) + moments)
