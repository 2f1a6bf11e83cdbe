"""Which engine trains, and the engine itself over the workers of torch's process group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from metier.errors import InputError
from metier.training import card
from metier.training.engine import Engine, Peers
from metier.training.fit import ADAM, ADAM_8BIT
from metier.training.model import AnyMethod, FullMethod, QloraMethod, autocast_dtype
from metier.training.recipe import Recipe

DDP, FSDP, ZERO_2, ZERO_3 = "ddp", "fsdp2", "zero2", "zero3"


def engine_for(kind: str, method: AnyMethod, workers: int) -> str:
    """What `auto` means: adapters are small, so their base may stand on each worker; a full model's moments are not."""
    if kind != "auto":
        return kind
    return FSDP if isinstance(method, FullMethod) and workers > 1 else DDP


def refuse_impossible(kind: str, method: AnyMethod, optimiser: str, offload: bool) -> None:
    """Refuses an engine that can't train in this way, before a device is used. Raises InputError."""
    if kind == DDP:
        if offload:
            raise InputError("resources.offload is for the engines fsdp2, zero2 and zero3; ddp keeps all on the device")
        return
    if isinstance(method, QloraMethod):
        raise InputError(
            f"resources.engine {kind} can't spread weights in 4 bits: set it to ddp, or train.method.method to lora"
        )
    if kind != ZERO_2 and getattr(method, "dora", False):
        raise InputError(
            f"resources.engine {kind} can't begin train.method.dora, which measures whole base weights: set engine to ddp"
        )
    if optimiser == ADAM_8BIT:
        raise InputError(f"train.optimiser adamw_8bit can't be spread by resources.engine {kind}: leave it at auto")


def open_spread(
    kind: str, folder: str, method: AnyMethod, recipe: Recipe, device: str, peers: Peers, offload: bool = False
) -> Engine:
    """An engine that spreads the model of a folder over the workers: fsdp2, zero2 or zero3."""
    refuse_impossible(kind, method, recipe.optimiser, offload)
    _join(device, peers)
    settings: dict[str, Any] = {
        "computed_in": autocast_dtype(recipe.precision, device),
        "offload": offload,
        "prepare": _layers(recipe, device),
    }

    def optimiser(weights: Sequence[Any], held_on: str) -> Any:
        return card.optimiser_of(ADAM, list(weights), held_on, recipe.learning_rate, recipe.weight_decay)

    if kind == FSDP:
        from metier.training.fsdp import open_fsdp

        return open_fsdp(folder, method, recipe.seed, device, peers, optimiser, **settings)
    from metier.training.zero import open_zero

    stage = 3 if kind == ZERO_3 else 2
    return open_zero(stage, folder, method, recipe.seed, device, peers, optimiser, **settings)


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
