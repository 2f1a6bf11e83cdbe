"""PyTorch's fully sharded data parallel (FSDP2): every worker holds a slice of each weight, its gradient and its moments.

A decoder layer's weights are gathered for as long as it computes, forward and backward; embedding, last norm and head for
the whole pass. Frozen weights under adapters are spread as well. After each piece gradients are summed and cut into slices
at once: held whole until the step's last piece they would take what spreading spared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor

from metier.training.engine import Peers, by_weight
from metier.training.model import FullMethod, base_dtype, trainable
from metier.training.spread import Places, Spreading, Stored, TokenLoss, decoder_layers, hollow


def open_fsdp(asked: Spreading) -> FullySharded:
    """A full model has float32 weights, which are gathered and computed in `computed_in`; a base under adapters its own type."""
    full, device, peers = isinstance(asked.method, FullMethod), asked.device, asked.peers
    model, places = hollow(asked.folder, asked.method, asked.seed, torch.float32 if full else base_dtype(device))
    asked.prepare(model)
    root = TokenLoss(model)
    settings: dict[str, Any] = {
        "mesh": init_device_mesh(device.split(":")[0], (peers.world,)),
        # Adapters stay in float32 beside frozen weights in bfloat16, as they do where nothing is spread.
        "mp_policy": MixedPrecisionPolicy(
            asked.computed_in if full else None, torch.float32, cast_forward_inputs=False
        ),
        "offload_policy": CPUOffloadPolicy(pin_memory=device != "cpu") if asked.offload else OffloadPolicy(),
    }
    for unit in (*decoder_layers(model), root):
        _make_room(unit, device)
        fully_shard(unit, **settings)
    _fill(places, asked.folder)
    weights = trainable(model)
    return FullySharded(root, weights, asked.optimised(weights), device, peers)


def _make_room(unit: Any, device: str) -> None:
    """Gives the weights that have none memory on the device, for the moment until the unit is cut into slices."""
    for weight in unit.parameters():
        if not isinstance(weight, DTensor) and not weight.is_contiguous():
            weight.data = torch.empty(weight.shape, dtype=weight.dtype, device=device)


def _fill(places: Places, folder: str) -> None:
    """Reads each worker's slices of the base weights."""
    with Stored(folder) as stored, torch.no_grad():
        for name, (module, key) in places.items():
            weight = getattr(module, key)
            local = weight.to_local()
            local.copy_(stored.part(name, _first_row(weight), local.shape[0]))


def _first_row(weight: Any) -> int:
    """Where this worker's slice begins: rows are dealt as torch.chunk deals them."""
    rows, workers = weight.shape[0], weight.device_mesh.size()
    return min(rows, -(-rows // workers) * weight.device_mesh.get_local_rank())


class FullySharded:
    """See Engine (engine.py). What trains is held as slices; a whole tensor exists only while it is saved."""

    collective = True

    def __init__(self, root: Any, weights: dict[str, Any], optimiser: Any, device: str, peers: Peers) -> None:
        """`root`: a TokenLoss that was spread, and so were its decoder layers."""
        self.model, self.device, self.peers = root.model, device, peers
        self._root, self._weights, self._optimiser = root, weights, optimiser
        fully_shard.state(root)._lazy_init()  # a layer that computes before its root did would take itself for the root

    def loss(self, batch: dict[str, Any]) -> Any:
        """See Engine."""
        loss = self._root(batch)
        if not torch.is_grad_enabled():
            self._root.reshard()  # it waits for a backward pass, which will not come
        return loss

    def backward(self, loss: Any, last: bool) -> None:
        """See Engine."""
        (loss * self.peers.world).backward()  # the library averages over workers

    def magnitudes(self) -> dict[str, float]:
        """See Engine."""
        sums = torch.stack(
            [g.abs().sum(dtype=torch.float32) if g.numel() else g.new_zeros(()) for g in self._gradients()]
        )
        sums = sums.to(self.device)
        self.peers.sum_(sums)
        return dict(zip(self._weights, sums.tolist(), strict=True))

    def step(self, learning_rate: float, max_norm: float) -> float:
        """See Engine."""
        gradients = self._gradients()
        squares = torch.stack([g.square().sum(dtype=torch.float32) for g in gradients]).sum().to(self.device)
        self.peers.sum_(squares)
        norm = float(squares.sqrt())
        for gradient in gradients:
            gradient.mul_(min(1.0, max_norm / (norm + 1e-6)))
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        self._optimiser.step()
        self.forget()
        return norm

    def _gradients(self) -> list[Any]:
        """This worker's slices; zeros where no gradient came."""
        return [torch.zeros_like(w.to_local()) if w.grad is None else w.grad.to_local() for w in self._weights.values()]

    def forget(self) -> None:
        """See Engine."""
        for weight in self._weights.values():
            weight.grad = None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See Engine."""
        return {name: tuple(weight.shape) for name, weight in self._weights.items()}

    def tensors(self) -> Iterator[tuple[str, Any]]:
        """See Engine."""
        for name, weight in self._weights.items():
            yield f"weight:{name}", self._whole(weight)
            for key, value in self._optimiser.state.get(weight, {}).items():
                yield f"{key}:{name}", self._whole(value) if isinstance(value, DTensor) else value

    def _whole(self, sliced: Any) -> Any:
        """A tensor from all workers' slices, on the device, where workers can exchange them."""
        local = sliced.detach().to_local().to(self.device)
        whole = DTensor.from_local(
            local, sliced.device_mesh, sliced.placements, run_check=False, shape=sliced.shape, stride=sliced.stride()
        )
        return whole.full_tensor()

    def load(self, saved: Mapping[str, Any]) -> None:
        """See Engine."""
        found = by_weight(saved)
        for name, weight in self._weights.items():
            with torch.no_grad():
                weight.to_local().copy_(_slice(saved[f"weight:{name}"], weight))
            state = {key: saved[f"{key}:{name}"] for key in found[name] if key != "weight"}
            if state:
                self._optimiser.state[weight] = {key: self._placed(key, value, weight) for key, value in state.items()}

    def _placed(self, key: str, value: Any, weight: Any) -> Any:
        """A part of the optimiser's state as it keeps it: counters whole beside the weights, the rest in slices."""
        if key == "step":
            return value.to(weight.device, copy=True)
        local = torch.empty_like(weight.to_local(), dtype=value.dtype).copy_(_slice(value, weight))
        return DTensor.from_local(
            local, weight.device_mesh, weight.placements, run_check=False, shape=weight.shape, stride=weight.stride()
        )

    @contextmanager
    def generating(self) -> Iterator[Any]:
        """See Engine."""
        self._root.unshard()  # its own forward, which would gather what it holds, is not called
        try:
            yield self.model
        finally:
            self._root.reshard()


def _slice(whole: Any, weight: Any) -> Any:
    """This worker's slice of a whole tensor."""
    return whole.narrow(0, _first_row(weight), weight.to_local().shape[0])
