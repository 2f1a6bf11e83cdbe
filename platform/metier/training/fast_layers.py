"""Puts our functions under a model's layers. Where a layer is not of a known kind, transformers' and PEFT's own runs on.

Parameters, their names and what is saved stay PEFT's. Afterwards the adapters are always on: they can be neither disabled
nor merged in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from metier.training.elementwise import rms_norm, rotate
from metier.training.lora import Projection, gated_mlp, project
from metier.training.nf4 import Nf4Linear
from metier.training.segments import Segments, attend_by_segments, attention

NORMS = frozenset({"LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm"})
ATTENTIONS = frozenset({"LlamaAttention", "MistralAttention", "Qwen2Attention"})  # rotary positions and nothing else
SILU = frozenset({"SiLU", "SiLUActivation"})
Part = Callable[[], tuple[Projection, Any, Any]]
"""Gives a projection with the down and the up factor of its adapter, or None. Asked in each pass: an engine that spreads
weights over workers puts other tensors in their place."""


def accelerate(model: Any) -> None:
    """Replaces the forward functions of norms, adapters, gated MLPs and attention, in place; and reads segments."""
    attend_by_segments(model.get_base_model() if hasattr(model, "get_base_model") else model)
    for module in list(model.modules()):
        forward = _forward_of(module)
        if forward is not None:
            module.forward = forward


def _forward_of(module: Any) -> Callable[..., Any] | None:
    kind = type(module).__name__
    if kind in NORMS:
        return None if module.weight.requires_grad else _norm(module)
    if kind in ATTENTIONS:
        parts = None if module.attention_dropout else _parts(module, "q_proj", "k_proj", "v_proj")
        return _attention(module, parts) if parts else None
    if type(getattr(module, "act_fn", None)).__name__ in SILU:
        parts = _parts(module, "gate_proj", "up_proj", "down_proj")
        return _mlp(parts) if parts else None
    if hasattr(module, "lora_A"):
        part = _part(module)
        return _linear(part) if part else None
    return None


def _parts(module: Any, *names: str) -> list[Part] | None:
    found = [_part(getattr(module, name, None)) for name in names]
    whole = [part for part in found if part is not None]
    return whole if len(whole) == len(names) else None


def _part(layer: Any) -> Part | None:
    """A frozen linear layer with a plain adapter or none; None where PEFT does more (dropout, DoRA, several adapters)."""
    base = getattr(layer, "base_layer", layer)
    if isinstance(base, Nf4Linear):
        weight = base.dense
    elif type(base) is nn.Linear and not base.weight.requires_grad:
        weight = _weight_of(base)
    else:
        return None
    if base is layer:
        return lambda: (Projection(weight, base.bias, 1.0), None, None)
    names = layer.active_adapters
    if len(names) != 1 or layer.lora_variant or type(layer.lora_dropout[names[0]]) is not nn.Identity:
        return None
    down, up = layer.lora_A[names[0]], layer.lora_B[names[0]]
    if up.bias is not None:
        return None
    scale = float(layer.scaling[names[0]])
    return lambda: (Projection(weight, base.bias, scale), down.weight, up.weight)


def _weight_of(linear: Any) -> Callable[[], Any]:
    return lambda: linear.weight


def _split(parts: list[Part]) -> tuple[tuple[Projection, ...], tuple[Any, ...]]:
    read = [part() for part in parts]
    return tuple(p for p, _, _ in read), tuple(factor for _, *pair in read for factor in pair)


def _norm(module: Any) -> Callable[..., Any]:
    return lambda x: rms_norm(x, module.weight, module.variance_epsilon)


def _linear(part: Part) -> Callable[..., Any]:
    return lambda x: project(x, *_split([part]))[0]


def _mlp(parts: list[Part]) -> Callable[..., Any]:
    def forward(x: Any) -> Any:
        (gate, up, down), factors = _split(parts)
        return gated_mlp(x, (gate, up, down), factors)

    return forward


def _attention(module: Any, parts: list[Part]) -> Callable[..., Any]:
    """transformers' own for padded rows and generation; for segments without a copy between projection and attention."""
    plain = module.forward

    def forward(hidden_states: Any, *arguments: Any, segments: Segments | None = None, **settings: Any) -> Any:
        if segments is None:
            return plain(hidden_states, *arguments, **settings)
        cos, sin = (one[0] for one in settings["position_embeddings"])
        query, key, value = (y.view(y.shape[1], -1, module.head_dim) for y in project(hidden_states, *_split(parts)))
        window = getattr(module, "sliding_window", getattr(module.config, "sliding_window", None))
        read = attention(rotate(query, cos, sin), rotate(key, cos, sin), value, segments, module.scaling, window)
        return module.o_proj(read.reshape(*hidden_states.shape[:-1], -1)), None

    return forward
