"""How the workers of a training run hold a model: one protocol, and its plainest kind, in which each holds all of it.

The loop (loop.py) knows the protocol alone. `fsdp.py` and `zero.py` spread weights or moments over the workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from metier.training.model import trainable
from metier.training.token_loss import loss_sum

Optimiser = Callable[[Sequence[Any], str], Any]  # of weights on a device
BUCKET = 64_000_000  # gradients that are summed over workers in one message: 256 MB


def _alone(tensor: Any) -> None:
    return None


@dataclass(frozen=True)
class Peers:
    """The workers of a run. Both functions change a tensor in place, on all workers to the same."""

    rank: int = 0
    world: int = 1
    sum_: Callable[[Any], None] = _alone
    least_: Callable[[Any], None] = _alone


class Engine(Protocol):
    """A model under training, as one of its workers sees it. What trains is called by its name in the whole model."""

    model: Any
    peers: Peers
    device: str
    collective: bool
    """Whether all workers must compute each piece together, since each holds a part of the weights."""

    def loss(self, batch: dict[str, Any]) -> Any:
        """Summed cross entropy over a batch's labels, a tensor (token_loss.py)."""
        ...

    def backward(self, loss: Any, last: bool) -> None:
        """Adds a piece's gradient; with the `last` of a step that gradient is summed over all workers."""
        ...

    def magnitudes(self) -> dict[str, float]:
        """The sum of each gradient's absolute values, over all workers, by name; asked between `backward` and `step`."""
        ...

    def step(self, learning_rate: float, max_norm: float) -> float:
        """Clips the gradient to `max_norm`, moves the weights and forgets the gradient; gives its norm before clipping."""
        ...

    def forget(self) -> None:
        """Drops the gradient."""
        ...

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What trains: the shape of each whole weight, by name, in the same order on every worker."""
        ...

    def tensors(self) -> Iterator[tuple[str, Any]]:
        """Each whole weight (`weight:NAME`) and its optimiser's state (`exp_avg:NAME` and so on), one at a time.

        All workers walk through together and see the same. A tensor is valid until the next one is asked for.
        """
        ...

    def load(self, saved: Mapping[str, Any]) -> None:
        """Puts back what `tensors` gave. All workers call it; each reads what it holds."""
        ...

    def generating(self) -> AbstractContextManager[Any]:
        """Gives the model for generation; with a `collective` engine all workers must generate together."""
        ...


class Replicated:
    """Every worker holds the whole model; gradients are summed over workers (data parallel), in few large messages."""

    collective = False

    def __init__(self, model: Any, optimiser: Any, device: str, peers: Peers) -> None:
        self.model, self.device, self.peers = model, device, peers
        self._optimiser = optimiser
        self._weights = trainable(model)

    def loss(self, batch: dict[str, Any]) -> Any:
        """See Engine."""
        return loss_sum(self.model, batch)

    def backward(self, loss: Any, last: bool) -> None:
        """See Engine."""
        loss.backward()
        if last and self.peers.world > 1:
            for bucket in _buckets(list(self._weights.values())):
                _sum_gradients(bucket, self.peers)

    def magnitudes(self) -> dict[str, float]:
        """See Engine."""
        return {
            name: 0.0 if p.grad is None else float(p.grad.abs().sum(dtype=float_of(p)))
            for name, p in self._weights.items()
        }

    def step(self, learning_rate: float, max_norm: float) -> float:
        """See Engine."""
        import torch

        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        norm = torch.nn.utils.clip_grad_norm_(list(self._weights.values()), max_norm)
        self._optimiser.step()
        self.forget()
        return float(norm)

    def forget(self) -> None:
        """See Engine."""
        for weight in self._weights.values():
            weight.grad = None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See Engine."""
        return {name: tuple(p.shape) for name, p in self._weights.items()}

    def tensors(self) -> Iterator[tuple[str, Any]]:
        """See Engine."""
        import torch

        for name, weight in self._weights.items():
            yield f"weight:{name}", weight.detach()
            for key, value in self._optimiser.state.get(weight, {}).items():
                yield f"{key}:{name}", torch.as_tensor(value).detach()

    def load(self, saved: Mapping[str, Any]) -> None:
        """See Engine."""
        import torch

        found = by_weight(saved)
        for name, weight in self._weights.items():
            with torch.no_grad():
                weight.copy_(saved[f"weight:{name}"])
            state = {key: saved[f"{key}:{name}"] for key in found[name] if key != "weight"}
            if state:
                self._optimiser.state[weight] = {key: self._placed(key, value, weight) for key, value in state.items()}

    def _placed(self, key: str, value: Any, weight: Any) -> Any:
        """A part of the optimiser's state where it keeps it: beside the weight, but bitsandbytes' counters as plain numbers.

        torch's fused AdamW, which a GPU trains with, wants its counter on the GPU too; moments that bitsandbytes keeps in the
        host's memory belong into what it takes there.
        """
        if key == "step" and not value.is_floating_point():
            return int(value)
        if value.shape == weight.shape and hasattr(self._optimiser, "get_state_buffer"):
            return self._optimiser.get_state_buffer(weight, value.dtype).copy_(value)
        return value.to(weight.device, copy=True)

    def generating(self) -> AbstractContextManager[Any]:
        """See Engine."""
        return nullcontext(self.model)


def float_of(weight: Any) -> Any:
    """The type in which a sum over this weight is exact enough."""
    import torch

    return torch.float32 if weight.dtype.itemsize < 4 else weight.dtype


def by_weight(saved: Iterable[str]) -> dict[str, list[str]]:
    """What was saved of each weight, by its name: `exp_avg:NAME` is `exp_avg` of NAME."""
    found: dict[str, list[str]] = {}
    for full in saved:
        key, name = full.split(":", 1)
        found.setdefault(name, []).append(key)
    return found


def _buckets(weights: list[Any]) -> Iterator[list[Any]]:
    """The weights in order, cut into lists of about BUCKET numbers."""
    bucket: list[Any] = []
    for weight in weights:
        bucket.append(weight)
        if sum(w.numel() for w in bucket) >= BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket


def _sum_gradients(weights: list[Any], peers: Peers) -> None:
    import torch

    flat = torch.cat([(w.grad if w.grad is not None else torch.zeros_like(w)).reshape(-1) for w in weights])
    peers.sum_(flat)
    for weight, part in zip(weights, flat.split([w.numel() for w in weights]), strict=True):
        weight.grad = part.view_as(weight)
