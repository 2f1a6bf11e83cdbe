"""Fit to the card: what training needs of its memory, and the quickest way that has room. Pure arithmetic.

What a step keeps for its backward pass is counted from the functions that compute it (lora.py, elementwise.py,
segments.py). A layer either keeps that, or only its input and is computed twice: that is checkpointing, and as few layers
as possible have it, the first ones, since they come last in the backward pass, when the others' memory is free again.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.errors import InputError
from metier.training.model import AnyMethod, FullMethod, QloraMethod

HALF, WHOLE = 2, 4  # bytes of a bfloat16 and of a float32
NF4 = 0.5 + 1 / 64 + 8 / (64 * 256)  # bytes of a weight in 4 bits, with its scales
HEAD_ROWS = 2048  # of a chunk of logits (head_loss.py)
OTHER_BYTES = 0.3e9  # the matrix library's workspace and small change
USABLE = 0.94  # of the memory: what the allocator cuts is never filled whole
LAUNCH_SECONDS = 0.02  # of a piece, whatever its length
MOST_PIECES = 64  # of a step on one worker
ADAM, ADAM_8BIT = "adamw", "adamw_8bit"
MOMENT_BYTES = {ADAM: 8.0, ADAM_8BIT: 2.03}


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder."""

    layers: int
    width: int
    queries: int  # width of all heads together
    keys: int  # of the key heads
    inner: int  # of the MLP
    heads: int
    words: int
    tied: bool

    @classmethod
    def of(cls, folder: str) -> Shape | None:
        """From a model folder's config.json; None for a model that is no plain decoder, whose needs are not known."""
        known = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        try:
            heads = known["num_attention_heads"]
            head = known.get("head_dim") or known["hidden_size"] // heads
            return cls(
                layers=known["num_hidden_layers"],
                width=known["hidden_size"],
                queries=heads * head,
                keys=(known.get("num_key_value_heads") or heads) * head,
                inner=known["intermediate_size"],
                heads=heads,
                words=known["vocab_size"],
                tied=known.get("tie_word_embeddings", False),
            )
        except KeyError:
            return None

    @property
    def linear(self) -> int:
        """Weights of all layers' matrices."""
        return self.layers * (self.width * (2 * self.queries + 2 * self.keys) + 3 * self.width * self.inner)

    @property
    def head(self) -> int:
        """Weights of the output layer."""
        return self.words * self.width

    @property
    def others(self) -> int:
        """Weights of embedding and output layer, and of the norms."""
        return self.head * (1 if self.tied else 2) + (2 * self.layers + 1) * self.width

    def adapters(self, rank: int) -> int:
        """Weights of adapters on all linear layers."""
        sides = 2 * self.width + 2 * self.queries + 2 * (self.width + self.keys) + 3 * (self.width + self.inner)
        return self.layers * rank * sides

    @property
    def kept(self) -> int:
        """Bytes that a layer keeps for a token: four times the residual stream's width, attention, and both MLP halves."""
        return HALF * (4 * self.width + 2 * self.queries + 2 * self.keys + 2 * self.inner) + WHOLE * self.heads


@dataclass(frozen=True)
class Card:
    """What a device can do, as measured on it."""

    memory: float  # bytes for this process
    flops: float  # a second, of a large matrix product in bfloat16
    bandwidth: float  # bytes a second, read and written


@dataclass(frozen=True)
class Fit:
    """How one worker computes."""

    piece_tokens: int  # tokens of a row
    recomputed: int  # of all layers: those that are computed twice
    layers: int
    dense: bool  # weights are in bfloat16: always but for qlora where memory is short
    optimiser: str
    predicted_bytes: int
    tokens_per_second: int  # a rough prediction, to rank by
    measured_bytes: int = 0  # of one step before training began; 0: not confirmed

    @property
    def checkpointing(self) -> str:
        """In the usual words."""
        return "none" if self.recomputed == 0 else "full" if self.recomputed == self.layers else "selective"

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self) | {"checkpointing": self.checkpointing}


def predicted_bytes(
    shape: Shape, method: AnyMethod, tokens: int, recomputed: int, dense: bool = True, optimiser: str = ADAM
) -> int:
    """Peak memory of a step whose rows have `tokens` tokens, without what the driver takes."""
    kept = tokens * ((shape.layers - recomputed) * shape.kept + recomputed * HALF * shape.width)
    again = tokens * (shape.kept - HALF * shape.width)  # of the layer that is being computed again
    backward = tokens * HALF * (3 * shape.inner + 2 * shape.width)
    if isinstance(method, FullMethod):
        weights, trained = 0.0, shape.linear + shape.others
        static = trained * (WHOLE + WHOLE + HALF + MOMENT_BYTES[optimiser])
        rows = shape.head * WHOLE  # the gradient of the output layer, summed over chunks
        kept, again, backward = (2 * part for part in (kept, again, backward))  # the residual stream is float32
    else:
        weights = shape.linear * (HALF if dense else NF4) + shape.others * HALF
        weights += 0 if dense else shape.width * shape.inner * HALF  # room for one unpacked weight
        static = shape.adapters(method.rank) * (WHOLE + WHOLE + MOMENT_BYTES[optimiser])
        rows = 0
    head = HEAD_ROWS * shape.words * HALF + 3 * tokens * shape.width * HALF + rows
    most = backward + (again if recomputed == shape.layers else 0)  # else that comes when other layers' memory is free
    return int(weights + static + kept + max(head, most) + OTHER_BYTES)


def seconds(shape: Shape, method: AnyMethod, card: Card, tokens: int, recomputed: int, dense: bool) -> float:
    """What a row of `tokens` tokens takes, roughly: products, the passes over memory between them, and unpacking."""
    share = recomputed / shape.layers
    passes = (6 if isinstance(method, FullMethod) else 4) + 2 * share
    products = tokens * (passes * shape.linear + 6 * shape.head) / card.flops
    between = tokens * shape.layers * shape.kept * (8 + 3 * share) / card.bandwidth
    unpacking = 0 if dense else (2 + share) * shape.linear * (HALF + NF4) / card.bandwidth
    return products + between + unpacking + LAUNCH_SECONDS


def choose(
    shape: Shape,
    method: AnyMethod,
    card: Card,
    most_tokens: int,
    longest: int,
    *,
    checkpointing: str = "auto",
    optimiser: str = "auto",
    dense: bool | None = None,
) -> Fit:
    """The fit with the most tokens a second whose prediction the card can hold.

    `most_tokens`: of a step on one worker; `longest`: of one pack, which is never cut. Raises InputError where none fits.
    """
    layers = {"none": [0], "full": [shape.layers]}.get(checkpointing, range(shape.layers + 1))
    optimisers = [optimiser] if optimiser != "auto" else [ADAM, ADAM_8BIT] if isinstance(method, FullMethod) else [ADAM]
    denses = [True] if not isinstance(method, QloraMethod) else [True, False] if dense is None else [dense]
    lengths = sorted({max(longest, most_tokens // n) for n in range(1, MOST_PIECES + 1)})
    room = card.memory * USABLE

    def fitting(tokens: int, held: bool, adam: str) -> Fit | None:
        """With the fewest layers recomputed."""
        for recomputed in layers:
            need = predicted_bytes(shape, method, tokens, recomputed, held, adam)
            if need <= room:
                rate = int(tokens / seconds(shape, method, card, tokens, recomputed, held))
                return Fit(tokens, recomputed, shape.layers, held, adam, need, rate)
        return None

    for adam in optimisers:  # an exact optimiser that fits is not given up for speed
        found = [fitting(tokens, held, adam) for tokens in lengths for held in denses]
        if any(found):
            return max((one for one in found if one), key=lambda one: one.tokens_per_second)
    least = predicted_bytes(shape, method, longest, layers[-1], denses[-1], optimisers[-1])
    raise InputError(
        f"train.method {method.method}: {least / 2**30:.1f} GiB are needed for rows of {longest} tokens, and the card gives "
        f"{room / 2**30:.1f}; lower train.max_tokens or train.pack_tokens"
        + ("" if isinstance(method, QloraMethod) else ", or take a method that needs less: full > lora > qlora")
    )
