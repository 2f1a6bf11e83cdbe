"""DeepSpeed's ZeRO (Rajbhandari et al. 2020): stage 2 spreads gradients and moments over the workers, stage 3 the weights too.

DeepSpeed computes in one type, so on a GPU adapters are rounded to bfloat16 beside their float32 originals. Its optimiser is
torch's AdamW: DeepSpeed's own would be compiled on the machine when it is first used.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from metier.errors import InputError
from metier.training.engine import Peers, by_weight
from metier.training.model import FullMethod, base_dtype, load_base, trainable, with_adapter
from metier.training.sharding import BUCKET, GATHERED_LAYERS
from metier.training.spread import Places, Spreading, Stored, TokenLoss, decoder_layers, hollow

CLOCK = "step"  # the counter in AdamW's state; all weights share it here


def gathered_at_once(model: Any) -> dict[str, int]:
    """Limits in values, for stage 3: what belongs to no layer, the layer that computes, and the next one on its way.

    DeepSpeed's own limits are 1e9 values, whatever the model. Llama-3's embedding and output layer alone are more, and nothing
    would be fetched ahead; and five of an 8B model's layers would stay gathered between their two passes.
    """
    layers = [sum(weight.numel() for weight in layer.parameters()) for layer in decoder_layers(model)]
    rest = sum(weight.numel() for weight in model.parameters()) - sum(layers)
    return {
        "stage3_prefetch_bucket_size": max(layers),
        "stage3_max_live_parameters": rest + GATHERED_LAYERS * max(layers),
        "stage3_max_reuse_distance": 0,
        "stage3_param_persistence_threshold": 0,  # a layer comes in one message, small weights with the large ones
    }


def zero_config(stage: int, computed_in: Any, offload: bool, limits: Mapping[str, int] | None = None) -> dict[str, Any]:
    """DeepSpeed's configuration. How many pieces a step has, the learning rate and the clipping are told in each step."""
    host = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    return {
        "train_micro_batch_size_per_gpu": 1,  # must be named; the loop makes the batches
        "bf16": {"enabled": computed_in == torch.bfloat16},
        "communication_data_type": "fp32",  # of gradients
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": {
            "stage": stage,
            "reduce_bucket_size": BUCKET,
        }
        | dict(limits or {})
        | ({"offload_optimizer": host} if offload else {})
        | ({"offload_param": host} if offload and stage == 3 else {}),
    }


def open_zero(asked: Spreading, stage: int) -> Zero:
    """All of the model has one type: `computed_in`, else a full model's float32 or the base's own."""
    device, full = asked.device, isinstance(asked.method, FullMethod)
    deepspeed = _deepspeed(device)
    dtype = asked.computed_in or (torch.float32 if full else base_dtype(device))
    if stage == 3:
        model, places = hollow(asked.folder, asked.method, asked.seed, dtype)
        asked.prepare(model)
        layers = decoder_layers(model)
        deepspeed.utils.set_z3_leaf_modules(
            model, list({type(layer) for layer in layers})
        )  # gathered whole: fast_layers.py
        if not full:
            model.enable_input_require_grads()  # else the first layer's gradients are taken away before they are there
        config = zero_config(stage, asked.computed_in, asked.offload, gathered_at_once(model))
        _spread(deepspeed, model.to(dtype), places, asked.folder, config)
    else:
        base = load_base(asked.folder, device, dtype)
        model = base if isinstance(asked.method, FullMethod) else with_adapter(base, asked.method, asked.seed)
        asked.prepare(model)
        config = zero_config(stage, asked.computed_in, asked.offload)
    weights = trainable(model)
    engine, *_ = deepspeed.initialize(
        model=TokenLoss(model), optimizer=asked.optimised(weights), config=config, dist_init_required=False
    )
    return Zero(engine, model, weights, stage, device, asked.peers)


def _deepspeed(device: str) -> Any:
    """The library, joined to torch's process group. Raises InputError where it is not installed."""
    kind, _, number = device.partition(":")
    os.environ["DS_ACCELERATOR"] = kind
    os.environ["LOCAL_RANK"] = number or "0"  # the device that it takes
    # It calls torch's collectives by names that torch has replaced since.
    warnings.filterwarnings("ignore", message="`torch.distributed.*is deprecated", category=FutureWarning)
    try:
        import deepspeed
    except ImportError:
        raise InputError(
            "resources.train.engine zero2 and zero3 need the package deepspeed, which is not installed here: "
            "pip install 'metier[deepspeed]', or set resources.train.engine to fsdp2"
        ) from None
    deepspeed.ops.__compatible_ops__ = {}  # none is used; looking for them starts compilers, and one takes a minute
    deepspeed.init_distributed(verbose=False)
    return deepspeed


def _spread(deepspeed: Any, model: Any, places: Places, folder: str, config: dict[str, Any]) -> None:
    """Fills module by module with the base's weights and cuts each at once into the workers' parts."""
    of_module: dict[Any, dict[str, str]] = {}
    for name, (module, key) in places.items():
        of_module.setdefault(module, {})[key] = name
    with Stored(folder) as stored:
        for module in model.modules():
            for key, name in of_module.get(module, {}).items():
                weight = getattr(module, key)
                weight.data = stored.part(name, 0, weight.shape[0]).to(weight.dtype)
            if module._parameters:
                deepspeed.zero.Init(module=_Alone(module), config_dict_or_path=config)


class _Alone(torch.nn.Module):
    """A module's own weights without those of the modules in it."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._parameters = dict(module._parameters)


class Zero:
    """See Engine (engine.py)."""

    collective = True

    def __init__(self, engine: Any, model: Any, weights: dict[str, Any], stage: int, device: str, peers: Peers) -> None:
        """`engine`: DeepSpeed's, of a TokenLoss around the model."""
        self.model, self.device, self.peers = model, device, peers
        self._engine, self._weights, self._stage = engine, weights, stage

    def loss(self, batch: dict[str, Any]) -> Any:
        """See Engine."""
        with torch.autocast(self.device.split(":")[0], enabled=False):  # DeepSpeed has its own, and warns of any other
            return self._engine(batch)

    def backward(self, loss: Any, last: bool) -> None:
        """See Engine."""
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(loss * self.peers.world)  # it averages over workers

    def magnitudes(self) -> dict[str, float]:
        """See Engine."""
        from deepspeed.utils import safe_get_full_grad

        found = {name: safe_get_full_grad(weight) for name, weight in self._weights.items()}
        return {name: 0.0 if g is None else float(g.abs().sum(dtype=torch.float32)) for name, g in found.items()}

    def step(self, learning_rate: float, max_norm: float) -> float:
        """See Engine."""
        self._engine.optimizer.clip_grad = max_norm
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        self._engine.step()
        return float(self._engine.get_global_grad_norm())

    def forget(self) -> None:
        """See Engine."""
        self._engine.optimizer.zero_grad()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See Engine."""
        return {name: tuple(getattr(weight, "ds_shape", weight.shape)) for name, weight in self._weights.items()}

    def tensors(self) -> Iterator[tuple[str, Any]]:
        """See Engine."""
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        states = list(self._engine.optimizer.optimizer.state.values())
        for name, weight in self._weights.items():
            yield f"weight:{name}", safe_get_full_fp32_param(weight).detach()
            for key in states[0] if states else ():
                if key == CLOCK:
                    yield f"{key}:{name}", torch.as_tensor(states[0][key], dtype=torch.float32)
                else:
                    yield f"{key}:{name}", safe_get_full_optimizer_state(weight, key).detach()

    def load(self, saved: Mapping[str, Any]) -> None:
        """See Engine."""
        found = by_weight(saved)
        put = self._put_part if self._stage == 3 else self._put_whole
        if not self._engine.optimizer.optimizer.state and any(set(keys) - {"weight"} for keys in found.values()):
            self._make_state()
        for name, weight in self._weights.items():
            for key in found[name]:
                if key == CLOCK:
                    for state in self._engine.optimizer.optimizer.state.values():  # a fused step wants it on the GPU
                        state[key] = saved[f"{key}:{name}"].to(state[key].device, copy=True)
                else:
                    put(weight, key, saved[f"{key}:{name}"].to(self.device))

    def _make_state(self) -> None:
        """Has the optimiser make its moments, which it does in its first step: one that moves nothing."""
        tokens = torch.zeros(1, 2, dtype=torch.int64, device=self.device)
        batch = {"input_ids": tokens, "labels": tokens, "attention_mask": torch.ones_like(tokens)}
        self.backward(self.loss(batch) * 0.0, last=True)
        self.step(0.0, 1.0)

    def _put_whole(self, weight: Any, key: str, value: Any) -> None:
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        if key == "weight":
            weight.data.copy_(value)
            safe_set_full_fp32_param(weight, value)
        else:
            safe_set_full_optimizer_state(weight, value, key)

    def _put_part(self, weight: Any, key: str, value: Any) -> None:
        """Every worker its own part; the last ones are filled up with zeros."""
        import deepspeed
        from deepspeed.utils import safe_set_local_fp32_param, safe_set_local_optimizer_state

        size = weight.ds_tensor.ds_numel
        room = torch.nn.functional.pad(value.reshape(-1), (0, size * self.peers.world - value.numel()))
        part = room[size * self.peers.rank : size * (self.peers.rank + 1)]
        if key != "weight":
            safe_set_local_optimizer_state(weight, part, key)
            return
        safe_set_local_fp32_param(weight, part)
        with deepspeed.zero.GatheredParameters([weight], modifier_rank=0):
            weight.data.copy_(value)

    def generating(self) -> AbstractContextManager[Any]:
        """See Engine. Under stage 3 each module gathers what it needs as it is called."""
        return nullcontext(self.model)
