"""What training will need, told before anything is spent: without a GPU, without the weights, and without torch.

It is the worker's own arithmetic (fit.py) on what is known of the card. The one thing that only the data tell, the longest
example, is taken to be `max_tokens`: what is longer is not trained on.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from metier import models
from metier.config import TrainResources
from metier.training import card, shape
from metier.training.fit import Card, Fit
from metier.training.model import AnyMethod, FullMethod
from metier.training.preparation import choice
from metier.training.recipe import Recipe
from metier.training.shape import HALF, Shape
from metier.training.sharding import sharding_of

GIGA = 1e9


@dataclass(frozen=True)
class Forecast:
    """A training step on GPUs, foretold."""

    base: str
    method: str
    engine: str
    offload: bool
    workers: int
    min_workers: int  # with which training goes on after a loss; 0: with no fewer
    weights: int = 0  # of the model; 0: not known
    trained: int = 0  # of these, or beside them
    fetched_bytes: int = 0  # that come from the hub first; 0: they are here, or not known
    card_bytes: int = 0  # of one GPU; 0: not known
    fit: Fit | None = None
    least: Fit | None = None  # on `min_workers`
    unknown: str = ""  # why there is no fit

    def as_json(self) -> dict[str, Any]:
        """JSON-able. Speeds are for ranking on a typical card, and stay out."""
        tree = dataclasses.asdict(self)
        for name in ("fit", "least"):
            one: Fit | None = getattr(self, name)
            if one is not None:
                tree[name] = one.as_json()
                for measured in ("tokens_per_second", "measured_bytes"):
                    del tree[name][measured]
        return tree


def forecast(
    base: str, method: AnyMethod, recipe: Recipe, max_tokens: int, resources: TrainResources
) -> Forecast | None:
    """What is known of a training on GPUs; None on CPUs, which need no fit.

    Raises InputError where settings exclude each other, or where the model fits in no way into the card.
    """
    sharding = sharding_of(resources.engine, method, resources.workers, resources.offload, recipe.optimiser)
    if not resources.gpus:
        return None
    config, room = models.described(base), _card(resources)
    sizes = Shape.described(config) if config else shape.known(base)
    told = Forecast(
        base=base,
        method=method.method,
        engine=sharding.engine,
        offload=sharding.offload,
        workers=resources.workers,
        min_workers=resources.min_workers,
        card_bytes=int(room.memory) if room else 0,
    )
    if sizes is None:
        why = "it is no plain decoder" if config else "it is not fetched yet"
        return dataclasses.replace(told, unknown=f"the sizes of {base} are not known: {why}")
    told = _counted(told, sizes, method)
    if room is None:
        return dataclasses.replace(told, unknown="no GPU is here to be asked: set resources.train.gpu_memory_gb")
    fewest = resources.min_workers or resources.workers
    fits = {
        workers: choice(sizes, method, recipe, max_tokens, dataclasses.replace(sharding, workers=workers))(room)
        for workers in (resources.workers, fewest)
    }
    return dataclasses.replace(
        told, fit=fits[resources.workers], least=fits[fewest] if fewest < resources.workers else None
    )


def _counted(told: Forecast, sizes: Shape, method: AnyMethod) -> Forecast:
    return dataclasses.replace(
        told,
        weights=sizes.weights,
        trained=sizes.weights if isinstance(method, FullMethod) else sizes.adapters(method.rank),
        fetched_bytes=HALF * sizes.weights if models.must_be_fetched(told.base) else 0,
    )


def _card(resources: TrainResources) -> Card | None:
    """The card that the file names, or that is here; a worker that takes half of one gets half of its memory."""
    share = min(1.0, resources.gpus)
    found = card.listed() if not resources.gpu_memory_gb else None
    memory = resources.gpu_memory_gb * GIGA or (found.memory if found else 0)
    return dataclasses.replace(card.TYPICAL, memory=memory * share) if memory else None
