"""Fit to the card: what training needs of its memory, and the quickest way that has room. Pure arithmetic.

What a step keeps for its backward pass is counted from the functions that compute it (lora.py, elementwise.py,
segments.py). A layer either keeps that, or only its input and is computed twice: that is checkpointing, and as few layers
as possible have it, the first ones, since they come last in the backward pass, when the others' memory is free again.
What several workers share out among them is told by sharding.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metier.errors import InputError
from metier.training.model import AnyMethod, FullMethod, QloraMethod
from metier.training.shape import HALF, WHOLE, Shape
from metier.training.sharding import ALONE, Sharding

NF4 = 0.5 + 1 / 64 + 8 / (64 * 256)  # bytes of a weight in 4 bits, with its scales
HEAD_ROWS = 2048  # of a chunk of logits (head_loss.py)
OTHER_BYTES = 0.3e9  # the matrix library's workspace and small change
USABLE = 0.94  # of the memory: what the allocator cuts is never filled whole
LAUNCH_SECONDS = 0.02  # of a piece, whatever its length
MOST_PIECES = 64  # of a step on one worker
MOST_WORKERS = 1024  # that are tried, to say how many would do
ADAM, ADAM_8BIT, PAGED = "adamw", "adamw_8bit", "paged_adamw_8bit"
MOMENT_BYTES = {ADAM: 8.0, ADAM_8BIT: 2.03, PAGED: 0.03}  # of a weight, on the card; paged moments are the host's


@dataclass(frozen=True)
class Card:
    """What a device can do, as measured on it."""

    memory: float  # bytes for this process
    flops: float  # a second, of a large matrix product in bfloat16
    bandwidth: float  # bytes a second, read and written
    link: float = 5e10  # bytes a second from other cards: what a fast network gives; inside one host it is more


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
    host_bytes: int = 0  # of the host's memory, for one worker: what is offloaded or paged
    engine: str = "ddp"
    workers: int = 1
    flops: float = 0.0  # a second, of the card that it was chosen for

    @property
    def checkpointing(self) -> str:
        """In the usual words."""
        return "none" if self.recomputed == 0 else "full" if self.recomputed == self.layers else "selective"

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self) | {"checkpointing": self.checkpointing}


def predicted_bytes(
    shape: Shape,
    method: AnyMethod,
    tokens: int,
    recomputed: int,
    dense: bool = True,
    optimiser: str = ADAM,
    sharding: Sharding = ALONE,
) -> int:
    """Peak memory of a step whose rows have `tokens` tokens, on one worker, without what the driver takes."""
    full = isinstance(method, FullMethod)
    of_layer = shape.kept + _kept_by_dora(shape, method)
    kept: float = tokens * ((shape.layers - recomputed) * of_layer + recomputed * HALF * shape.width)
    again: float = tokens * (of_layer - HALF * shape.width)  # of the layer that is being computed again
    backward: float = tokens * HALF * (3 * shape.inner + 2 * shape.width)
    if full:
        kept, again, backward = (2 * part for part in (kept, again, backward))  # the residual stream is float32
    rows = shape.head * WHOLE if full else 0  # the gradient of the output layer, summed over chunks
    head = HEAD_ROWS * shape.words * HALF + 3 * tokens * shape.width * HALF + rows
    layers = backward + (
        again if recomputed == shape.layers else 0
    )  # else that comes when other layers' memory is free
    layers += sharding.under_way(shape, full)
    lasting = static_bytes(shape, method, dense, optimiser, sharding) + sharding.root(shape) + OTHER_BYTES
    if not full:
        return int(lasting + kept + max(head, layers))
    return int(lasting + max(kept + max(head, layers) + sharding.waiting(shape), sharding.ending(shape)))


def _kept_by_dora(shape: Shape, method: AnyMethod) -> int:
    """Bytes that a layer keeps for a token in addition, roughly, where adapters have magnitudes (Liu et al. 2024).

    They take PEFT's own path: of each product what the base and what the adapter put out, and the sum of both; and the parts
    of a gated MLP one by one.
    """
    return HALF * (3 * shape.outputs + 2 * shape.inner) if getattr(method, "dora", False) else 0


def static_bytes(shape: Shape, method: AnyMethod, dense: bool, optimiser: str, sharding: Sharding) -> float:
    """Weights, gradients and moments that one worker's card holds all the time."""
    held = sharding.held(MOMENT_BYTES[optimiser])
    if isinstance(method, FullMethod):
        return shape.weights * held
    frozen = shape.linear * (HALF if dense else NF4) + shape.others * HALF
    frozen *= 0 if sharding.offload and sharding.gathers else sharding.weights
    frozen += 0 if dense else shape.width * shape.inner * HALF  # room for one unpacked weight
    copies = HALF if sharding.engine == "ddp" else 0  # of adapters live as long as a layer computes
    return frozen + shape.adapters(method.rank) * (held - copies)


def host_bytes(shape: Shape, method: AnyMethod, optimiser: str, sharding: Sharding) -> int:
    """Memory of the host that one worker takes: for long what is offloaded or paged there; for qlora, while it loads, the
    whole base in bfloat16, which each worker rounds by itself."""
    if isinstance(method, QloraMethod):
        return HALF * shape.weights
    if optimiser == PAGED:
        return int(2 * shape.weights)
    if isinstance(method, FullMethod):
        return int(shape.weights * sharding.hosted())
    frozen = shape.weights * HALF / sharding.workers if sharding.offload and sharding.gathers else 0
    return int(shape.adapters(method.rank) * sharding.hosted() + frozen)


def seconds(
    shape: Shape,
    method: AnyMethod,
    card: Card,
    tokens: int,
    recomputed: int,
    dense: bool,
    sharding: Sharding = ALONE,
) -> float:
    """What a row of `tokens` tokens takes, roughly: products, passes over memory between them, unpacking, gathering."""
    share = recomputed / shape.layers
    passes = (6 if isinstance(method, FullMethod) else 4) + 2 * share
    products = tokens * (passes * shape.linear + 6 * shape.head) / card.flops
    between = tokens * shape.layers * shape.kept * (8 + 3 * share) / card.bandwidth
    unpacking = 0 if dense else (2 + share) * shape.linear * (HALF + NF4) / card.bandwidth
    rounds = (3 if isinstance(method, FullMethod) else 2) if sharding.gathers else 0  # forward, backward, the gradient
    gathering = rounds * shape.weights * HALF / card.link
    return max(products + between + unpacking, gathering) + LAUNCH_SECONDS


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
    sharding: Sharding = ALONE,
) -> Fit:
    """The fit with the most tokens a second whose prediction the card can hold.

    `most_tokens`: of a step on one worker; `longest`: of one pack, which is never cut. Raises InputError where none fits.
    """
    layers = {"none": [0], "full": [shape.layers]}.get(checkpointing, range(shape.layers + 1))
    denses = [True] if not isinstance(method, QloraMethod) else [True, False] if dense is None else [dense]
    lengths = sorted({max(longest, most_tokens // n) for n in range(1, MOST_PIECES + 1)})
    optimisers = _optimisers(method, optimiser, sharding)
    room = card.memory * USABLE

    def fitting(tokens: int, held: bool, adam: str) -> Fit | None:
        """With the fewest layers recomputed."""
        for recomputed in layers:
            need = predicted_bytes(shape, method, tokens, recomputed, held, adam, sharding)
            if need <= room:
                rate = int(tokens / seconds(shape, method, card, tokens, recomputed, held, sharding))
                host = host_bytes(shape, method, adam, sharding)
                return Fit(
                    tokens, recomputed, shape.layers, held, adam, need, rate, 0, host, sharding.engine, sharding.workers
                )
        return None

    for adam in optimisers:  # an exact optimiser that fits is not given up for speed
        found = [fitting(tokens, held, adam) for tokens in lengths for held in denses]
        if any(found):
            return max((one for one in found if one), key=lambda one: one.tokens_per_second)

    def least(by: Sharding) -> int:
        frugal = optimisers[-1] if by == sharding else ADAM
        return predicted_bytes(shape, method, longest, layers[-1], denses[-1], frugal, by)

    raise InputError(
        f"train.method {method.method}: {least(sharding) / 2**30:.1f} GiB are needed for rows of {longest} tokens, and the "
        f"card gives {room / 2**30:.1f}; {_mend(method, sharding, lambda by: least(by) <= room)}"
    )


def _optimisers(method: AnyMethod, asked: str, sharding: Sharding) -> list[str]:
    """Those to try, the most exact first. What is spread or offloaded is moved by AdamW in float32 alone."""
    if sharding.engine != "ddp":
        if asked not in ("auto", ADAM):
            raise InputError(
                f"train.optimiser {asked}: engine {sharding.engine} spreads moments in float32; leave it at auto, or set "
                "resources.train.engine to ddp"
            )
        return [ADAM]
    if asked == ADAM_8BIT and isinstance(method, FullMethod):
        return [ADAM_8BIT, PAGED]  # the same moments
    if asked != "auto":
        return [asked]
    return [ADAM, ADAM_8BIT, PAGED] if isinstance(method, FullMethod) else [ADAM]


def _mend(method: AnyMethod, sharding: Sharding, fits: Callable[[Sharding], bool]) -> str:
    """What would make it fit."""
    shorter = "lower train.max_tokens and train.pack_tokens"
    if isinstance(method, QloraMethod):
        return f"{shorter}, or take a GPU with more memory: 4-bit weights are whole on each, however many there are"
    spread = sharding.engine if sharding.gathers else "fsdp2"
    counts = [n for n in range(2, MOST_WORKERS + 1) if n >= sharding.workers and (n <= 8 or n % 8 == 0)]  # whole hosts
    enough = next((n for n in counts if fits(Sharding(spread, n, sharding.offload))), 0)
    ways = [f"take engine {spread} on {enough} workers"] if enough else []
    if not sharding.offload and fits(Sharding(spread, sharding.workers, offload=True)):
        ways.append(f"{spread} with resources.train.offload")
    return ", or ".join([*ways, shorter, "take a method that needs less: full > lora > qlora"])
