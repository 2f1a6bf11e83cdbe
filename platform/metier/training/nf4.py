"""Frozen weights in 4 bits: NormalFloat-4 with double quantisation (Dettmers et al. 2023, QLoRA, sections 3 and appendix E).

4.13 bits a weight. The scale of each 64 weights is an 8-bit number between the lowest and highest scale of 256 blocks.
Our own and not bitsandbytes', because it computes the same on every device and has no state: the other's CPU layers are
repacked by an evaluation and then train no more. A matrix product unpacks the weight into one buffer that all layers of a
model share; nothing may keep a view of it, so autograd unpacks it again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from metier.training.lora import Projection, project

BLOCK, GROUP = 64, 256
CODES = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip


class Workspace:
    """Room for one unpacked weight, reused by all layers of a model."""

    def __init__(self) -> None:
        self._room: Any = None

    def of(self, numel: int, dtype: Any, device: Any) -> Any:
        """`numel` values, valid until the next call."""
        room = self._room
        if room is None or room.numel() < numel or room.dtype != dtype or room.device != device:
            self._room = room = torch.empty(numel, dtype=dtype, device=device)
        return room[:numel]


class Nf4Linear(nn.Module):
    """A frozen linear layer in 4 bits."""

    def __init__(self, linear: Any, workspace: Workspace, device: Any) -> None:
        super().__init__()
        self.out_features, self.in_features = linear.weight.shape
        self.dtype = linear.weight.dtype
        self.bias = linear.bias
        self._workspace = workspace
        packed, absmax, low, step = quantise(linear.weight.detach().to(device))
        self.packed = nn.Buffer(packed)
        self.absmax = nn.Buffer(absmax)
        self.low = nn.Buffer(low)
        self.step = nn.Buffer(step)
        self.table = nn.Buffer(torch.tensor(CODES, device=device))

    def dense(self) -> Any:
        """The weight, unpacked: shape (outputs, inputs), valid until another layer of the model unpacks its own."""
        blocks = self.absmax.numel()
        room = self._workspace.of(blocks * BLOCK, self.dtype, self.packed.device)
        if self.packed.is_cuda:
            from metier.training import kernels

            kernels.dequantise(self.packed, self.absmax, self.low, self.step, self.table, GROUP, room)
        else:
            room.copy_(dequantised(self.packed, self.absmax, self.low, self.step, self.table))
        return room[: self.out_features * self.in_features].view(self.out_features, self.in_features)

    @property
    def weight(self) -> Any:
        """The weight, unpacked into room of its own: for PEFT, whose DoRA measures its rows."""
        return self.dense().clone()

    def forward(self, x: Any) -> Any:
        """The product; gradients reach x alone."""
        return project(x, (Projection(self.dense, self.bias, 1.0),), (None, None))[0]


def quantise(weight: Any) -> tuple[Any, Any, Any, Any]:
    """Codes, two a byte; each block's scale as 8 bits; lowest scale and step of each group of blocks, float32."""
    flat = weight.reshape(-1).float()
    flat = torch.nn.functional.pad(flat, (0, -flat.numel() % BLOCK)).view(-1, BLOCK)
    scales = flat.abs().amax(1)
    of_group = torch.nn.functional.pad(scales, (0, -scales.numel() % GROUP), value=float("nan")).view(-1, GROUP)
    low = of_group.nan_to_num(float("inf")).amin(1)
    step = (of_group.nan_to_num(float("-inf")).amax(1) - low) / 255
    group = torch.arange(scales.numel(), device=scales.device) // GROUP
    absmax = ((scales - low[group]) / step[group].clamp_min(1e-30)).round().clamp(0, 255).to(torch.uint8)
    codes = torch.tensor(CODES, device=flat.device)
    near = torch.bucketize(flat / scales.clamp_min(1e-30)[:, None], (codes[1:] + codes[:-1]) / 2).to(torch.uint8)
    return (near[:, 0::2] << 4 | near[:, 1::2]).reshape(-1), absmax, low, step


def dequantised(packed: Any, absmax: Any, low: Any, step: Any, table: Any) -> Any:
    """The values behind the codes, float32, flat."""
    group = torch.arange(absmax.numel(), device=absmax.device) // GROUP
    scales = low[group] + step[group] * absmax.float()
    codes = torch.stack((packed >> 4, packed & 15), dim=1).reshape(-1, BLOCK)
    return (table[codes.int()] * scales[:, None]).reshape(-1)


def quantise_base(model: Any, device: Any, dense: bool) -> None:
    """Rounds every linear layer under an adapter to 4 bits, one after the other on `device`.

    `dense`: the rounded weights stay unpacked, which computes the same and is faster where there is room.
    """
    from peft.tuners.lora import LoraLayer

    workspace = Workspace()
    for layer in [m for m in model.modules() if isinstance(m, LoraLayer)]:
        base = layer.base_layer
        small = Nf4Linear(base, workspace, device)
        if dense:
            base.weight.data = small.dense().clone()
        else:
            layer.base_layer = small
