"""What the workers of a run share out among them: which part of the weights, gradients and moments one GPU holds.

What is spread is put together again where it is computed with: a layer's weights are gathered in bfloat16 while the layer
before it still computes, and its gradient is whole until it is summed and cut. Embedding, last norm and output layer are
one unit, gathered for the whole of a step, whose gradient waits for its end (FSDP2's root; Zhao et al. 2023; for ZeRO
Rajbhandari et al. 2020). Counted so as FSDP2 and DeepSpeed were measured on one and two workers (test_fit.py holds it).
"""

from __future__ import annotations

from dataclasses import dataclass

from metier.errors import InputError
from metier.training.model import AnyMethod, FullMethod, QloraMethod
from metier.training.shape import HALF, WHOLE, Shape

DDP, FSDP, ZERO_2, ZERO_3 = "ddp", "fsdp2", "zero2", "zero3"
GATHERED_LAYERS = 2  # one computes, the next is on its way
BUCKET = 50_000_000  # values that DeepSpeed sums at once; its own default, ten times that, takes up to 3.6 GB more
BUCKET_BYTES = BUCKET * (2 * HALF + WHOLE)  # in bfloat16 one that fills and one under way, in float32 what is sent


@dataclass(frozen=True)
class Sharding:
    """How workers hold a model between them."""

    engine: str = "ddp"  # or fsdp2, zero2, zero3
    workers: int = 1
    offload: bool = False  # of what is spread, to the hosts' memory

    @property
    def weights(self) -> float:
        """Which part of the weights one worker holds."""
        return 1 / self.workers if self.gathers else 1.0

    @property
    def zero(self) -> bool:
        """Whether DeepSpeed spreads."""
        return self.engine in (ZERO_2, ZERO_3)

    @property
    def gathers(self) -> bool:
        """Whether weights are spread, and gathered where they are needed."""
        return self.engine in (FSDP, ZERO_3)

    @property
    def copies(self) -> bool:
        """Whether what is gathered takes memory of its own: one worker of DeepSpeed computes with the weights that it holds."""
        return self.gathers and (self.engine == FSDP or self.workers > 1 or self.offload)

    def held(self, moments: float) -> float:
        """Bytes that one worker's card holds of a weight that trains, with `moments` bytes of these.

        Float32 throughout, and while nothing is spread a copy in bfloat16, made anew in each step. DeepSpeed keeps weights and
        gradients in bfloat16, and spreads float32 originals.
        """
        if self.engine == "ddp":
            return WHOLE + WHOLE + HALF + moments
        away = self.offload  # originals, gradients and moments; of what gathers, the weights as well
        spread = 0 if away else moments + (HALF + WHOLE if self.zero else 2 * WHOLE)
        weights = (0 if away and self.gathers else HALF * self.weights) if self.zero else 0
        return weights + spread / self.workers

    def hosted(self) -> float:
        """Bytes that one worker's host holds of a weight that trains, where it offloads."""
        return (4 * WHOLE + (HALF if self.engine == "zero3" else 0)) / self.workers if self.offload else 0

    def under_way(self, shape: Shape, trained: bool) -> float:
        """Bytes of gathered layers; and of a layer's gradient, in bfloat16, in the float32 that is sent, and the one before."""
        buckets = BUCKET_BYTES if self.zero else 0
        gathered = GATHERED_LAYERS * HALF * shape.layer if self.copies else 0
        return buckets + gathered + (shape.layer * (HALF + 2 * WHOLE) if trained and self.gathers else 0)

    def root(self, shape: Shape) -> float:
        """Bytes of the root unit, gathered."""
        return shape.others * HALF if self.copies else 0

    def waiting(self, shape: Shape) -> float:
        """Bytes of the output layer's gradient, which is made first and summed last."""
        return shape.head * HALF if self.engine != "ddp" else 0

    def ending(self, shape: Shape) -> float:
        """Bytes that full training takes at a step's end, when no layer keeps anything any more.

        The root unit's gradient while it is summed: as it came, as it is sent, and the part that arrives; and the last
        layer's, as it was sent. Under zero2 a worker's whole part of the gradient: made one piece, and that in float32.
        """
        if not self.gathers:
            return shape.weights * (HALF + WHOLE) / self.workers if self.zero and not self.offload else 0
        arriving = WHOLE / self.workers if self.workers > 1 else 0
        return shape.others * (HALF + WHOLE + arriving) + shape.layer * WHOLE


ALONE = Sharding()


def sharding_of(engine: str, method: AnyMethod, workers: int, offload: bool, optimiser: str = "auto") -> Sharding:
    """The sharding that the settings mean. Raises InputError for those that exclude each other.

    `auto`: adapters are small, so their base may stand on each worker; a full model's moments are not. Weights in 4 bits are
    whole on every GPU under any engine: what is spread of qlora is next to nothing.
    """
    if engine == "auto":
        engine = FSDP if isinstance(method, FullMethod) and workers > 1 else DDP
    asked = f"resources.train.engine {engine}"
    if engine == DDP:
        if offload:
            raise InputError(
                "resources.train.offload: under engine ddp nothing is offloaded; set engine fsdp2, zero2 or zero3, or offload "
                "false"
            )
    elif isinstance(method, QloraMethod):
        raise InputError(
            f"{asked}: qlora's 4-bit weights are whole on every GPU; set engine ddp, or method lora, whose weights can be spread"
        )
    elif engine != ZERO_2 and getattr(method, "dora", False):
        raise InputError(f"{asked} can't begin train.method.dora, which measures whole base weights: set engine to ddp")
    elif optimiser == "adamw_8bit":
        raise InputError(f"train.optimiser adamw_8bit can't be spread ({asked}): leave it at auto")
    return Sharding(engine, workers, offload)
