"""One step's gradient: computed in pieces that fit into memory, summed over workers, and refused where it is not sound.

Logits are computed only where the loss looks: with a vocabulary of 49,000 and short answers that is most of the work
saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from metier.errors import StepError
from metier.training.batches import cut
from metier.training.encoding import IGNORED
from metier.training.model import Precision, autocast_dtype
from metier.training.packs import Pack, padded
from metier.training.rows import row_of, shared_out


@dataclass(frozen=True)
class Peers:
    """The workers that share a step. `sum_` adds a tensor up over all of them, in place."""

    rank: int = 0
    world: int = 1
    sum_: Callable[[Any], None] = lambda tensor: None


def hidden_states(model: Any, batch: dict[str, Any]) -> Any:
    """What the decoder makes of a batch, before the output layer: (rows, tokens, width)."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    inputs = {name: part for name, part in batch.items() if name != "labels"}
    return causal.get_decoder()(**inputs, use_cache=False).last_hidden_state


def loss_sum(model: Any, batch: dict[str, Any]) -> Any:
    """Summed cross entropy over the labels of a batch; logits are made at those places alone.

    Equal to the loss over all logits: a token's logits depend on its own hidden state only.
    """
    import torch
    import torch.nn.functional as functional

    hidden = hidden_states(model, batch)
    wanted = batch["labels"][:, 1:]
    looked_at = wanted != IGNORED
    head = (model.get_base_model() if hasattr(model, "get_base_model") else model).get_output_embeddings()
    if "segments" not in batch or type(head) is not torch.nn.Linear or head.bias is not None:
        return functional.cross_entropy(head(hidden[:, :-1][looked_at]).float(), wanted[looked_at], reduction="sum")
    from metier.training.head_loss import head_loss

    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):  # weights in float32 leave the residual stream in float32
        hidden = hidden.to(torch.get_autocast_dtype(kind))
    return head_loss(hidden[:, :-1][looked_at], head.weight, wanted[looked_at])


def labels_in(packs: Sequence[Pack]) -> int:
    """Tokens that the loss of these packs covers: the first token of a text has nothing to be predicted from."""
    return sum(label != IGNORED for pack in packs for e in pack.examples for label in e.labels[1:])


def arithmetic(precision: Precision, device: str) -> Callable[[], AbstractContextManager[Any]]:
    """What makes the context in which a precision computes on a device."""
    import torch

    dtype = autocast_dtype(precision, device)
    if dtype is None:
        return nullcontext
    return lambda: torch.autocast(device.split(":")[0], dtype=dtype)


@dataclass(frozen=True)
class Pieces:
    """How one worker computes: in pieces of so many tokens, in which arithmetic, on which device."""

    tokens: int
    pad: int
    device: str
    arithmetic: Callable[[], AbstractContextManager[Any]]
    rows: bool = False  # a piece is one row without padding

    def of(self, packs: Sequence[Pack]) -> Iterator[dict[str, Any]]:
        """Tensors, each of at most `tokens` tokens or a single pack; made one by one, while a GPU is busy with the last."""
        lengths = [p.tokens for p in packs]
        if self.rows:
            yield from (row_of([packs[i] for i in row], self.device) for row in shared_out(lengths, self.tokens))
            return
        order = sorted(range(len(packs)), key=lambda i: (lengths[i], i))
        for piece in cut(order, lengths, self.tokens):
            yield padded([packs[i] for i in piece], self.pad, self.device)


def backward(model: Any, packs: Sequence[Pack], weights: dict[str, Any], pieces: Pieces, peers: Peers) -> Any:
    """Leaves the gradient of the mean loss over all workers' packs in `weights`; gives that loss, a tensor.

    Whoever asks for its value waits for the device: there is work to be handed to it before.
    """
    import torch

    total = torch.zeros((), device=pieces.device)
    labels = labels_in(packs)
    for batch in pieces.of(packs[peers.rank :: peers.world]):
        with pieces.arithmetic():
            loss = loss_sum(model, batch) / max(1, labels)
        loss.backward()
        total += loss.detach()
    _share(peers, weights)
    peers.sum_(total)
    return total


def _share(peers: Peers, weights: dict[str, Any]) -> None:
    """Sums the gradients of all workers: one message, as adapters are small."""
    if peers.world == 1:
        return
    import torch

    parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in weights.values()]
    flat = torch.cat([part.reshape(-1) for part in parts])
    peers.sum_(flat)
    at = 0
    for parameter in weights.values():
        size = parameter.numel()
        parameter.grad = flat[at : at + size].view_as(parameter).clone()
        at += size


def refuse_severed(weights: dict[str, Any]) -> None:
    """Refuses gradients that are missing, zero or not finite in some layer: such training looks busy and learns nothing.

    An adapter's first factor has no gradient while its second is zero, which it is at the start; so layers are judged
    by the sum of both.
    """
    layers: dict[str, float] = {}
    for name, parameter in weights.items():
        layer = name.split(".lora_")[0]
        size = 0.0 if parameter.grad is None else float(parameter.grad.abs().sum())
        layers[layer] = layers.get(layer, 0.0) + size
    severed = [name for name, size in layers.items() if size == 0]
    broken = [name for name, size in layers.items() if not math.isfinite(size)]
    if broken:
        raise StepError(
            f"training: the gradient is not finite in {len(broken)} of {len(layers)} layers, first {broken[0]}; "
            "lower train.learning_rate, or set train.precision to float32"
        )
    if severed:
        raise StepError(
            f"training: no gradient reaches {len(severed)} of {len(layers)} trained layers, first {severed[0]}: "
            "they would learn nothing"
        )
