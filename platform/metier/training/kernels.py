"""Triton kernels of the training step: what lies between the matrix products, each one pass over memory.

All of them are bound by memory bandwidth, so what counts is that every value is read and written once. Their formulas in
torch stand in `elementwise.py` and `nf4.py`, which call them where the tensors are on a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

FLAT = 1024  # values of a program of an elementwise kernel
BLOCKS = 64  # blocks of a program of the dequantisation
WIDEST = 8192  # values of a row that the cross entropy holds at once


@triton.jit
def _rms_norm(x, weight, out, width, eps, WIDTH: tl.constexpr):
    row, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    inside = at < width
    values = tl.load(x + row * width + at, mask=inside, other=0.0).to(tl.float32)
    inverse = tl.rsqrt(tl.sum(values * values) / width + eps)
    scaled = (values * inverse).to(out.dtype.element_ty)  # rounded before the weight, as transformers does
    tl.store(out + row * width + at, scaled * tl.load(weight + at, mask=inside), mask=inside)


@triton.jit
def _rms_norm_backward(grad, x, weight, out, width, eps, WIDTH: tl.constexpr):
    row, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    inside = at < width
    values = tl.load(x + row * width + at, mask=inside, other=0.0).to(tl.float32)
    weighted = tl.load(grad + row * width + at, mask=inside, other=0.0).to(tl.float32)
    weighted *= tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    inverse = tl.rsqrt(tl.sum(values * values) / width + eps)
    unit = values * inverse
    tl.store(out + row * width + at, inverse * (weighted - unit * (tl.sum(weighted * unit) / width)), mask=inside)


def _row_warps(width: int) -> int:
    return 8 if width > 2048 else 4


def rms_norm(x: Any, weight: Any, eps: float) -> Any:
    """x / rms(x) * weight over the last dimension."""
    out = torch.empty_like(x)
    width = x.shape[-1]
    rows = x.numel() // width
    _rms_norm[(rows,)](x, weight, out, width, eps, WIDTH=triton.next_power_of_2(width), num_warps=_row_warps(width))
    return out


def rms_norm_backward(grad: Any, x: Any, weight: Any, eps: float) -> Any:
    """The gradient by x."""
    out = torch.empty_like(x)
    width = x.shape[-1]
    _rms_norm_backward[(x.numel() // width,)](
        grad, x, weight, out, width, eps, WIDTH=triton.next_power_of_2(width), num_warps=_row_warps(width)
    )
    return out


@triton.jit
def _rotate(x, cos, sin, out, sign, heads, half, HEADS: tl.constexpr, HALF: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, HALF)  # a power of two, as all ranges are: `half` of them are there
    head = tl.arange(0, HEADS)[:, None]
    there = at < half
    first = token * heads * 2 * half + head * 2 * half + at[None, :]
    inside = (head < heads) & there[None, :]
    a = tl.load(x + first, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(x + first + half, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(cos + token * 2 * half + at, mask=there, other=0.0).to(tl.float32)[None, :]
    s = tl.load(sin + token * 2 * half + at, mask=there, other=0.0).to(tl.float32)[None, :] * sign
    tl.store(out + first, a * c - b * s, mask=inside)
    tl.store(out + first + half, b * c + a * s, mask=inside)


def rotate(x: Any, cos: Any, sin: Any, sign: float) -> Any:
    """Rotary positions on x of shape (tokens, heads, width); cos and sin (tokens, width); sign -1 turns back."""
    out = torch.empty_like(x)
    tokens, heads, width = x.shape
    sizes = {"HEADS": triton.next_power_of_2(heads), "HALF": triton.next_power_of_2(width // 2)}
    _rotate[(tokens,)](x, cos, sin, out, sign, heads, width // 2, **sizes)
    return out


@triton.jit
def _swiglu(gate, up, out, size, FLAT: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * FLAT + tl.arange(0, FLAT)
    inside = at < size
    g = tl.load(gate + at, mask=inside, other=0.0).to(tl.float32)
    u = tl.load(up + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + at, g * tl.sigmoid(g) * u, mask=inside)


@triton.jit
def _swiglu_backward(grad, gate, up, out, by_gate, by_up, size, FLAT: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * FLAT + tl.arange(0, FLAT)
    inside = at < size
    d = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(gate + at, mask=inside, other=0.0).to(tl.float32)
    u = tl.load(up + at, mask=inside, other=0.0).to(tl.float32)
    s = tl.sigmoid(g)
    tl.store(out + at, g * s * u, mask=inside)
    tl.store(by_gate + at, d * u * s * (1 + g * (1 - s)), mask=inside)
    tl.store(by_up + at, d * g * s, mask=inside)


def swiglu(gate: Any, up: Any) -> Any:
    """silu(gate) * up."""
    out = torch.empty_like(gate)
    _swiglu[(triton.cdiv(gate.numel(), FLAT),)](gate, up, out, gate.numel(), FLAT=FLAT)
    return out


def swiglu_backward(grad: Any, gate: Any, up: Any) -> tuple[Any, Any, Any]:
    """silu(gate) * up once more, written over `grad`; and the gradients by gate and up."""
    by_gate, by_up = torch.empty_like(gate), torch.empty_like(up)
    _swiglu_backward[(triton.cdiv(gate.numel(), FLAT),)](grad, gate, up, grad, by_gate, by_up, gate.numel(), FLAT=FLAT)
    return grad, by_gate, by_up


@triton.jit
def _dequantise(packed, absmax, low, step, table, out, blocks, GROUP: tl.constexpr, BLOCKS: tl.constexpr):
    block = tl.program_id(0).to(tl.int64) * BLOCKS + tl.arange(0, BLOCKS)
    inside = block < blocks
    group = block // GROUP
    scale = tl.load(low + group, mask=inside) + tl.load(step + group, mask=inside) * tl.load(
        absmax + block, mask=inside
    ).to(tl.float32)
    pairs = tl.load(packed + block[:, None] * 32 + tl.arange(0, 32)[None, :], mask=inside[:, None]).to(tl.int32)
    first, second = tl.load(table + (pairs >> 4)), tl.load(table + (pairs & 15))
    values = tl.interleave(first, second) * scale[:, None]
    tl.store(out + block[:, None] * 64 + tl.arange(0, 64)[None, :], values, mask=inside[:, None])


def dequantise(packed: Any, absmax: Any, low: Any, step: Any, table: Any, group: int, out: Any) -> None:
    """Fills `out` with the values behind 4-bit codes, in blocks of 64 (nf4.py says what the tensors hold)."""
    blocks = absmax.numel()
    _dequantise[(triton.cdiv(blocks, BLOCKS),)](
        packed, absmax, low, step, table, out, blocks, GROUP=group, BLOCKS=BLOCKS
    )


@triton.jit
def _cross_entropy(logits, targets, losses, width, WIDTH: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets + row)
    here = logits + row * width
    wanted = tl.load(here + target).to(tl.float32)
    at = tl.arange(0, WIDTH)
    highest, total = float("-inf"), 0.0
    for start in range(0, width, WIDTH):
        values = tl.load(here + start + at, mask=start + at < width, other=float("-inf")).to(tl.float32)
        top = tl.maximum(highest, tl.max(values))
        total = total * tl.exp(highest - top) + tl.sum(tl.exp(values - top))
        highest = top
    for start in range(0, width, WIDTH):
        inside = start + at < width
        values = tl.load(here + start + at, mask=inside, other=float("-inf")).to(tl.float32)
        share = tl.exp(values - highest) / total
        tl.store(here + start + at, tl.where(start + at == target, share - 1, share), mask=inside)
    tl.store(losses + row, highest + tl.log(total) - wanted)


def cross_entropy(logits: Any, targets: Any) -> Any:
    """Losses (rows) of logits (rows, words), float32; the logits are overwritten with the gradient of the losses' sum."""
    rows, width = logits.shape
    losses = torch.empty(rows, dtype=torch.float32, device=logits.device)
    block = min(WIDEST, triton.next_power_of_2(width))
    _cross_entropy[(rows,)](logits, targets, losses, width, WIDTH=block, num_warps=16 if block > 2048 else 4)
    return losses
