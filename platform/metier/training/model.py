"""The model under training: the base in one number format, and the method's trainable weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from metier.config import StageConfig
from metier.errors import InputError
from metier.inference.transformers_engine import attention_for

Precision = Literal["auto", "float32", "bfloat16"]


class Adapters(StageConfig):
    """Low-rank adapters beside frozen weights (Hu et al. 2021)."""

    rank: int = Field(16, ge=1, le=1024)
    """Rank of each adapter."""
    alpha: int = Field(32, gt=0, le=4096)
    """Scale: the adapter counts alpha / rank times (alpha / sqrt(rank) with rslora)."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout before the adapter. On a GPU training is fastest without."""
    rslora: bool = False
    """Rank-stabilised scale (Kalajdzievski 2023)."""
    dora: bool = False
    """Learn each output's magnitude apart from its direction (Liu et al. 2024): often better at a low rank, and slower, as
    the layers run as PEFT's own. With qlora the magnitudes start as those of the weights before rounding."""
    targets: tuple[str, ...] = ()
    """Names of the layers that get an adapter; empty: all linear layers but the output."""


class LoraMethod(Adapters):
    """Adapters beside weights in the base's precision."""

    method: Literal["lora"] = "lora"
    """Which method."""


class QloraMethod(Adapters):
    """Adapters beside weights that are rounded to 4 bits, NF4 with double quantisation (Dettmers et al. 2023)."""

    method: Literal["qlora"] = "qlora"
    """Which method."""


class FullMethod(StageConfig):
    """All weights, kept in float32."""

    method: Literal["full"] = "full"
    """Which method."""


def _tag(value: Any) -> Any:
    return value.get("method", "lora") if isinstance(value, dict) else getattr(value, "method", None)


Method = Annotated[
    Annotated[LoraMethod, Tag("lora")] | Annotated[QloraMethod, Tag("qlora")] | Annotated[FullMethod, Tag("full")],
    Discriminator(_tag),
]


LINEAR = ("Linear", "Conv1D")  # Conv1D is GPT-2's: the same product, its weight the other way round
AnyMethod = LoraMethod | QloraMethod | FullMethod


def autocast_dtype(precision: Precision, device: str) -> Any:
    """The torch type to compute in, None for float32. `auto` takes bfloat16 on a GPU.

    On a CPU it does not, even where the processor has it: with AVX-512 a training token cost 1.5 times more in bfloat16.
    """
    import torch

    if precision == "auto":
        return torch.bfloat16 if device != "cpu" else None
    return torch.bfloat16 if precision == "bfloat16" else None


def load_trainable(folder: str, method: AnyMethod, seed: int, device: str, dense: bool) -> Any:
    """The model as the method trains it. `dense`: weights that were rounded to 4 bits stay unpacked (nf4.py)."""
    import torch

    if isinstance(method, FullMethod):
        return load_base(folder, device, torch.float32)
    if not isinstance(method, QloraMethod):
        return with_adapter(load_base(folder, device), method, seed)
    from metier.training.nf4 import quantise_base

    model = with_adapter(load_base(folder, "cpu", base_dtype(device)), method, seed)
    quantise_base(model, device, dense)  # layer by layer: the device never holds the unrounded model
    return model.to(device)


def base_dtype(device: str) -> Any:
    """How frozen weights are kept: float32 on a CPU, bfloat16 on a GPU."""
    import torch

    return torch.float32 if device == "cpu" else torch.bfloat16


def load_base(folder: str, device: str, dtype: Any = None) -> Any:
    """The base model from safetensors only, in `dtype` or as the device keeps frozen weights."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype or base_dtype(device),
        use_safetensors=True,
        attn_implementation=attention_for(folder) or "sdpa",
        trust_remote_code=False,
    )
    model.config.use_cache = False
    return model.to(device)


def with_adapter(base: Any, method: LoraMethod | QloraMethod, seed: int) -> Any:
    """The base with fresh adapters. Raises InputError when a target matches no layer."""
    import torch
    from peft import LoraConfig, get_peft_model

    refuse_unfit_targets(base, method)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        use_rslora=method.rslora,
        use_dora=method.dora,
        target_modules=list(method.targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config)


def refuse_unfit_targets(base: Any, method: LoraMethod | QloraMethod) -> None:
    """Raises InputError when one of the method's targets matches no layer, or one that can't have such an adapter.

    A target is a layer's name, or the end of it behind a dot, as PEFT reads it. 4 bits are for plain linear layers alone.
    """
    kinds = {name: type(module).__name__ for name, module in base.named_modules() if name}  # the model itself has none
    linear = ", ".join(sorted({name.rsplit(".", 1)[-1] for name, kind in kinds.items() if kind in LINEAR}))
    unknown = [target for target in method.targets if not any(matches(name, target) for name in kinds)]
    if not all(target.strip() for target in method.targets):
        raise InputError(f"train.method.targets: one is empty; the model's linear layers are {linear}")
    if unknown:
        verb = "matches" if len(unknown) == 1 else "match"
        raise InputError(
            f"train.method.targets: {', '.join(unknown)} {verb} no layer; the model's linear layers are {linear}"
        )
    allowed = ("Linear",) if isinstance(method, QloraMethod) else (*LINEAR, "Embedding")
    for name, kind in kinds.items():
        chosen = any(matches(name, t) for t in method.targets) if method.targets else kind in LINEAR
        if chosen and kind not in allowed:
            raise InputError(
                f"train.method: {name} is a {kind}, which can have no adapter of {method.method}; "
                f"the model's linear layers are {linear}"
            )


def matches(name: str, target: str) -> bool:
    """Whether a target is this layer's name or the end of it."""
    return name == target or name.endswith("." + target)


def trainable(model: Any) -> dict[str, Any]:
    """The trainable parameters by name, in a fixed order."""
    return {name: p for name, p in sorted(model.named_parameters()) if p.requires_grad}


def weights_in(model: Any) -> int:
    """How many weights a model has, those in 4 bits and those that other workers hold included."""
    packed = (m for m in model.modules() if type(m).__name__ == "Nf4Linear")
    plain = sum(getattr(p, "ds_numel", p.numel()) for p in model.parameters())  # DeepSpeed leaves none of them here
    return plain + sum(m.in_features * m.out_features for m in packed)
