"""A model whose weights are to be spread over workers: built without them, then filled part by part from the base's files.

No worker ever holds the whole of it. `fsdp.py` and `zero.py` do the spreading.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metier.errors import InputError
from metier.inference.transformers_engine import attention_for
from metier.training.engine import Optimiser, Peers
from metier.training.model import AnyMethod, FullMethod, with_adapter
from metier.training.token_loss import loss_sum

Places = dict[str, tuple[nn.Module, str]]  # name of a base weight in its files -> the module that holds it, and as what
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


@dataclass(frozen=True)
class Spreading:
    """What an engine needs to spread the model of a folder over the workers of torch's process group."""

    folder: str
    method: AnyMethod
    seed: int
    device: str
    peers: Peers
    optimiser: Optimiser
    computed_in: Any  # torch.bfloat16, or None for the weights' own type
    offload: bool
    prepare: Callable[[Any], None]  # changes the model's layers before its weights are spread

    def optimised(self, weights: Mapping[str, Any]) -> Any:
        """The optimiser, over weights that lie where offloading puts them."""
        return self.optimiser(list(weights.values()), "cpu" if self.offload else self.device)


class TokenLoss(nn.Module):
    """A batch's loss as the forward of one module: what spreads weights gathers and frees them around a forward."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Any]) -> Any:
        """See loss_sum."""
        return loss_sum(self.model, batch)


def decoder_layers(model: Any) -> list[nn.Module]:
    """The layers that are gathered one after the other. Raises InputError for a model that has none of a known kind."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    found = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not found:
        raise InputError(
            f"resources.train.engine: no decoder layers were found in a {type(model).__name__}; set it to ddp"
        )
    return found


def hollow(folder: str, method: AnyMethod, seed: int, dtype: Any) -> tuple[Any, Places]:
    """The model of a folder as the method trains it, and where its base weights belong.

    Base weights have shape and type and take no memory: one zero, repeated. Adapters have the values that they have
    with every engine.
    """
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    config.use_cache = False
    with init_empty_weights(include_buffers=False):
        model: Any = AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation=attention_for(folder) or "sdpa", trust_remote_code=False
        )
    model.tie_weights()
    if (Path(folder) / "generation_config.json").exists():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    names = {id(weight): name for name, weight in model.named_parameters()}
    empty = {
        id(w): nn.Parameter(torch.zeros(1, dtype=w.dtype).expand(w.shape), requires_grad=w.requires_grad)
        for w in model.parameters()
    }
    places: Places = {}
    for module in model.modules():
        for key, weight in module._parameters.items():
            if weight is not None:
                places.setdefault(names[id(weight)], (module, key))
                module._parameters[key] = empty[id(weight)]
    return (model if isinstance(method, FullMethod) else with_adapter(model, method, seed)), places


class Stored:
    """The weights in a model folder's safetensors files, read by name when they are asked for."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._open = contextlib.ExitStack()
        self._files: dict[str, Any] = {}
        index = self._folder / INDEX
        if index.exists():
            self._file_of: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        else:
            self._file_of = dict.fromkeys(self._file(SINGLE).keys(), SINGLE)

    def __enter__(self) -> Stored:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._open.close()

    def part(self, name: str, start: int, rows: int) -> Any:
        """`rows` rows of a weight, from row `start` on. Raises InputError where the files hold no such weight."""
        if name not in self._file_of:
            raise InputError(
                f"{self._folder}: its files name the weights otherwise than transformers does ({name} is missing), so they "
                "can't be spread as they are read: set resources.train.engine to ddp"
            )
        return self._file(self._file_of[name]).get_slice(name)[start : start + rows]

    def _file(self, name: str) -> Any:
        from safetensors import safe_open

        if name not in self._files:
            self._files[name] = self._open.enter_context(safe_open(self._folder / name, framework="pt"))
        return self._files[name]
