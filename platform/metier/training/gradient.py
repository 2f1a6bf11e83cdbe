"""One step's gradient: computed in pieces that fit into memory, by all workers together, and refused where it is not sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from metier.errors import StepError
from metier.training.batches import cut
from metier.training.encoding import IGNORED
from metier.training.engine import Engine
from metier.training.model import Precision, autocast_dtype
from metier.training.packs import Pack, padded
from metier.training.rows import levelled, row_of, shared_out


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

    def cut(self, packs: Sequence[Pack]) -> list[list[Pack]]:
        """The packs of each piece: at most `tokens` tokens, or a single longer pack."""
        lengths = [p.tokens for p in packs]
        order = sorted(range(len(packs)), key=lambda i: (lengths[i], i))
        parts = shared_out(lengths, self.tokens) if self.rows else cut(order, lengths, self.tokens)
        return [[packs[i] for i in part] for part in parts]

    def batch(self, piece: Sequence[Pack]) -> dict[str, Any]:
        """The tensors of a piece."""
        return row_of(piece, self.device) if self.rows else padded(piece, self.pad, self.device)

    def of(self, packs: Sequence[Pack]) -> Iterator[dict[str, Any]]:
        """Tensors of each piece, made one by one, while a GPU is busy with the last."""
        return (self.batch(piece) for piece in self.cut(packs))

    def computed(self, piece: Sequence[Pack]) -> int:
        """Tokens that a piece computes, padding included."""
        lengths = [p.tokens for p in piece]
        return sum(lengths) if self.rows else max(lengths) * len(lengths)


@dataclass(frozen=True)
class Share:
    """What each worker does of one step: the pieces of all workers, and this one's own place."""

    pieces: list[list[list[Pack]]]  # of each worker
    rank: int
    collective: bool

    @classmethod
    def of(cls, packs: Sequence[Pack], pieces: Pieces, engine: Engine) -> Share:
        """Workers get about equally many tokens; which packs a worker gets follows from the step alone."""
        parts = levelled([p.tokens for p in packs], engine.peers.world)
        return cls([pieces.cut([packs[i] for i in part]) for part in parts], engine.peers.rank, engine.collective)

    def mine(self) -> list[tuple[list[Pack], float]]:
        """This worker's pieces with their weight in the loss.

        A worker without a piece, and one that others would wait for, gets some that weigh nothing: the shortest there is.
        """
        own = [(piece, 1.0) for piece in self.pieces[self.rank]]
        number = max(1, max(map(len, self.pieces)) if self.collective else len(own))
        spare = min((pack for part in self.pieces for piece in part for pack in piece), key=lambda p: p.tokens)
        return own + [([spare], 0.0)] * (number - len(own))

    def computed(self, pieces: Pieces) -> int:
        """Tokens that all workers compute, padding included."""
        return sum(pieces.computed(piece) for part in self.pieces for piece in part)


def backward(engine: Engine, packs: Sequence[Pack], share: Share, pieces: Pieces) -> Any:
    """Leaves the gradient of the mean loss over all workers' packs in the engine; gives that loss, a tensor.

    Whoever asks for its value waits for the device: there is work to be handed to it before.
    """
    import torch

    total = torch.zeros((), device=pieces.device)
    labels, mine = labels_in(packs), share.mine()
    for number, (piece, weight) in enumerate(mine, 1):
        batch = pieces.batch(piece)
        with pieces.arithmetic():
            loss = engine.loss(batch) * (weight / max(1, labels))
        engine.backward(loss, last=number == len(mine))
        total += loss.detach()
    engine.peers.sum_(total)
    return total


def refuse_severed(magnitudes: dict[str, float]) -> None:
    """Refuses gradients that are missing, zero or not finite in some layer: such training looks busy and learns nothing.

    `magnitudes`: the sum of each gradient's absolute values, by name. An adapter's first factor has no gradient while its
    second is zero, which it is at the start; so layers are judged by the sum of both.
    """
    layers: dict[str, float] = {}
    for name, size in magnitudes.items():
        layer = name.split(".lora_")[0]
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
