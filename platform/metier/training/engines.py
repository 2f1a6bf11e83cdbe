"""Engines that spread a model, over the workers of torch's process group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from metier.training import card
from metier.training.engine import Engine, Peers
from metier.training.fit import ADAM
from metier.training.model import AnyMethod, autocast_dtype
from metier.training.recipe import Recipe
from metier.training.sharding import FSDP, ZERO_3


def open_spread(
    kind: str, folder: str, method: AnyMethod, recipe: Recipe, device: str, peers: Peers, offload: bool = False
) -> Engine:
    """An engine that spreads the model of a folder over the workers: fsdp2, zero2 or zero3."""
    from metier.training.spread import Spreading

    _join(device, peers)

    def optimiser(weights: Sequence[Any], held_on: str) -> Any:
        return card.optimiser_of(ADAM, list(weights), held_on, recipe.learning_rate, recipe.weight_decay)

    spreading = Spreading(
        folder=folder,
        method=method,
        seed=recipe.seed,
        device=device,
        peers=peers,
        optimiser=optimiser,
        computed_in=autocast_dtype(recipe.precision, device),
        offload=offload,
        prepare=_layers(recipe, device),
    )
    if kind == FSDP:
        from metier.training.fsdp import open_fsdp

        return open_fsdp(spreading)
    from metier.training.zero import open_zero

    return open_zero(spreading, stage=3 if kind == ZERO_3 else 2)


def _layers(recipe: Recipe, device: str) -> Callable[[Any], None]:
    """Puts the fast path under a model's layers where pieces are rows, as with every engine."""
    if not recipe.packs_rows(device):
        return lambda model: None
    from metier.training.fast_layers import accelerate

    return accelerate


def _join(device: str, peers: Peers) -> None:
    """Makes sure of a process group: whoever starts several workers has made it; a single one gets a group of its own."""
    import torch
    import torch.distributed as distributed

    if device != "cpu":
        torch.cuda.set_device(device)
    if not distributed.is_initialized() and peers.world == 1:
        backend = "gloo" if device == "cpu" else "nccl"
        distributed.init_process_group(backend, store=distributed.HashStore(), rank=0, world_size=1)
