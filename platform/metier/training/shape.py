"""The sizes of a decoder: of a model that is here from its config.json, of well-known ones without it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.errors import InputError

HALF, WHOLE = 2, 4  # bytes of a bfloat16 and of a float32
MOST, MOST_LAYERS = 10**8, 10**4  # of any one size, far above the largest there are; a fit is tried layer by layer
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")  # beside all that begin with moe_
TIED = (
    "biogpt", "cohere", "cohere2", "cohere_compass_text", "ernie4_5", "gemma", "gemma2", "gemma3_text", "gemma3n_text",
    "gemma4_text", "gemma4_unified_text", "granite_swa", "lfm2", "minicpm3", "modernbert-decoder", "recurrent_gemma",
    "smollm3", "starcoder2", "vaultgemma", "youtu", "zamba", "zamba2",
)  # fmt: skip
"""Decoders whose embedding is the output layer too where their config.json does not say: transformers 4 left out what is a
type's default. transformers knows it, but a plan loads none of it; test_shape.py holds both together."""


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
        return cls.described(json.loads((Path(folder) / "config.json").read_text(encoding="utf-8")))

    @classmethod
    def described(cls, config: Mapping[str, Any]) -> Shape | None:
        """From what a config.json holds, likewise."""
        try:
            if _has_experts(config):
                return None  # each of them has weights of its own
            heads, width = config["num_attention_heads"], config["hidden_size"]
            key_heads, head = config.get("num_key_value_heads"), config.get("head_dim")
            sizes = {
                "num_hidden_layers": config["num_hidden_layers"],
                "hidden_size": width,
                "num_attention_heads": heads,
                "num_key_value_heads": heads if key_heads is None else key_heads,
                "head_dim": width // heads if head is None else head,
                "intermediate_size": config["intermediate_size"],
                "vocab_size": config["vocab_size"],
            }
            tied = config.get("tie_word_embeddings")
            by_default = config.get("model_type") in TIED
        except KeyError:
            return None
        except (TypeError, ValueError, ArithmeticError, AttributeError):
            raise InputError(
                "the base's config.json holds sizes that are no numbers, or none: fetch it again"
            ) from None
        if any(isinstance(size, list) for size in sizes.values()):
            return None  # its layers differ
        for name, size in sizes.items():
            most = MOST_LAYERS if name == "num_hidden_layers" else MOST
            if type(size) is not int or not 0 < size <= most:
                raise InputError(
                    f"the base's config.json: {name} is {str(size)[:40]}, and must be a whole number from 1 to {most:,}: "
                    "fetch it again"
                )
        layers, width, heads, key_heads, head, inner, words = sizes.values()
        return cls(
            layers,
            width,
            heads * head,
            key_heads * head,
            inner,
            heads,
            words,
            by_default if tied is None else bool(tied),
        )

    @property
    def layer(self) -> int:
        """Weights of one layer's matrices."""
        return self.width * (2 * self.queries + 2 * self.keys) + 3 * self.width * self.inner

    @property
    def linear(self) -> int:
        """Weights of all layers' matrices."""
        return self.layers * self.layer

    @property
    def head(self) -> int:
        """Weights of the output layer."""
        return self.words * self.width

    @property
    def others(self) -> int:
        """Weights of embedding and output layer, and of the norms."""
        return self.head * (1 if self.tied else 2) + (2 * self.layers + 1) * self.width

    @property
    def weights(self) -> int:
        """All weights; a few biases more, in models that have them."""
        return self.linear + self.others

    def adapters(self, rank: int) -> int:
        """Weights of adapters on all linear layers."""
        sides = 2 * self.width + 2 * self.queries + 2 * (self.width + self.keys) + 3 * (self.width + self.inner)
        return self.layers * rank * sides

    @property
    def outputs(self) -> int:
        """Width of what one layer's matrices put out, all together."""
        return self.queries + 2 * self.keys + 2 * self.width + 2 * self.inner

    @property
    def kept(self) -> int:
        """Bytes that a layer keeps for a token: four times the residual stream's width, attention, and both MLP halves."""
        return HALF * (4 * self.width + 2 * self.queries + 2 * self.keys + 2 * self.inner) + WHOLE * self.heads


def _has_experts(config: Mapping[str, Any]) -> bool:
    """Whether a mixture of experts is described: by a count of them, or by sizes that only a mixture has."""
    told = [value for name, value in config.items() if name in EXPERTS or name.startswith("moe_")]
    counts = [n for value in told for n in (value if isinstance(value, list) else [value])]
    return any(type(n) is int and n > 1 for n in counts)


def _llama(layers: int, width: int, heads: int, key_heads: int, inner: int, words: int, tied: bool = False) -> Shape:
    head = width // heads
    return Shape(layers, width, width, key_heads * head, inner, heads, words, tied)


LLAMA_8B, LLAMA_70B = _llama(32, 4096, 32, 8, 14336, 128256), _llama(80, 8192, 64, 8, 28672, 128256)
KNOWN = {
    "smollm2-135m": _llama(30, 576, 9, 3, 1536, 49152, tied=True),
    "llama-3-8b": LLAMA_8B,
    "llama-3.1-8b": LLAMA_8B,
    "llama-3-70b": LLAMA_70B,
    "llama-3.1-70b": LLAMA_70B,
    "llama-3.3-70b": LLAMA_70B,
    "mistral-7b-v0.3": _llama(32, 4096, 32, 8, 14336, 32768),
    "qwen2.5-7b": _llama(28, 3584, 28, 4, 18944, 152064),
    "qwen2.5-14b": _llama(48, 5120, 40, 8, 13824, 152064),
    "qwen2.5-32b": _llama(64, 5120, 40, 8, 27648, 152064),
    "qwen2.5-72b": _llama(80, 8192, 64, 8, 29568, 152064),
}
"""Published sizes of bases that are often taken, for a plan that is made before the model is fetched."""


def known(name: str) -> Shape | None:
    """The shape of a well-known base by its name or hub id: with or without its owner, `Meta-` and `-Instruct`."""
    plain = name.split("@")[0].rsplit("/", 1)[-1].lower().removeprefix("meta-")
    for shortened in (plain, plain.removesuffix("-instruct"), plain.replace("-instruct-", "-")):
        if shortened in KNOWN:
            return KNOWN[shortened]
    return None
