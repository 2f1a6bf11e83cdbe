"""How the weights are moved: what an experiment says of training, whatever method and engine carry it out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metier.config import StageConfig
from metier.training.model import Precision


class Recipe(StageConfig):
    """How the weights are moved."""

    epochs: int = Field(2, ge=1, le=100)
    """Passes over the training set."""
    learning_rate: float = Field(5e-4, gt=0, le=1)
    """Highest learning rate; it warms up to it and falls to zero along a cosine."""
    warmup_share: float = Field(0.05, ge=0, le=1)
    """Share of all steps that the warm-up takes."""
    weight_decay: float = Field(0.0, ge=0, le=1)
    """AdamW's weight decay."""
    max_grad_norm: float = Field(1.0, gt=0, le=1000)
    """Gradients are clipped to this norm."""
    batch_tokens: int = Field(4096, ge=16, le=10_000_000)
    """Tokens computed in one step over all workers: padding counts, and a beginning that examples share counts once.
    What is longer by itself is a step of its own."""
    pack_tokens: int = Field(1024, ge=16, le=10_000_000)
    """Examples that begin alike are joined up to this length, and their beginning is computed once."""
    piece_tokens: int = Field(0, ge=0, le=10_000_000)
    """Tokens computed at once: a step is worked off in such pieces to spare memory; 0: 1,024 on a CPU, on a GPU what fits."""
    packing: Literal["auto", "padded", "rows"] = "auto"
    """`rows`: a piece is one row without padding, in which no example sees another; `padded`: an example or a pack is a
    row; `auto`: rows on a GPU, padded on a CPU, where they are as fast."""
    checkpointing: Literal["auto", "none", "full"] = "auto"
    """Layers computed twice to spare memory on a GPU; `auto`: as few as the card's memory wants."""
    optimiser: Literal["auto", "adamw", "adamw_8bit"] = "auto"
    """`adamw_8bit` keeps its moments in 8 bits (GPU only); `auto`: only where nothing else fits."""
    checkpoints_per_epoch: int = Field(2, ge=1, le=1000)
    """How often validation loss and dev exam are taken, and the state saved."""
    patience: int = Field(4, ge=0, le=100)
    """Stop after so many checkpoints without a better dev score or validation loss; 0: never."""
    precision: Precision = "auto"
    """Number format of the arithmetic; auto: bfloat16 on a GPU, float32 on a CPU, where it is the faster one."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Another seed shuffles and initialises differently."""

    def packs_rows(self, device: str) -> bool:
        """Whether pieces are rows without padding on that device."""
        return self.packing == "rows" or (self.packing == "auto" and device != "cpu")
