"""What a decoder layer does between its matrix products, with frozen weights: forward and backward, each in one pass.

On a GPU the kernels of kernels.py run; on a CPU the same formulas in torch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional
from torch.autograd import Function


class _RmsNorm(Function):
    """Keeps its input alone, which the residual stream holds anyway. The weight is frozen."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, eps: float) -> Any:
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        if x.is_cuda:
            from metier.training import kernels

            return kernels.rms_norm(x.contiguous(), weight, eps)
        return weight * (x.float() * _inverse(x, eps)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> tuple[Any, None, None]:
        x, weight = ctx.saved_tensors
        if x.is_cuda:
            from metier.training import kernels

            return kernels.rms_norm_backward(grad.contiguous(), x.contiguous(), weight, ctx.eps), None, None
        inverse = _inverse(x, ctx.eps)
        unit, weighted = x.float() * inverse, grad.float() * weight
        return (inverse * (weighted - unit * (weighted * unit).mean(-1, keepdim=True))).to(x.dtype), None, None


def _inverse(x: Any, eps: float) -> Any:
    return torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + eps)


def rms_norm(x: Any, weight: Any, eps: float) -> Any:
    """x / rms(x) * weight over the last dimension (Zhang and Sennrich 2019); `weight` gets no gradient."""
    return _RmsNorm.apply(x, weight, eps)


class _Rotate(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, cos: Any, sin: Any) -> Any:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1.0)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> tuple[Any, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(grad, cos, sin, -1.0), None, None


def _turned(x: Any, cos: Any, sin: Any, sign: float) -> Any:
    if x.is_cuda:
        from metier.training import kernels

        return kernels.rotate(x.contiguous(), cos, sin, sign)
    a, b = x.chunk(2, dim=-1)
    return x * cos[:, None] + torch.cat((-b, a), dim=-1) * sin[:, None] * sign


def rotate(x: Any, cos: Any, sin: Any) -> Any:
    """Rotary positions (Su et al. 2021) on (tokens, heads, width); cos and sin are (tokens, width), halves repeated."""
    return _Rotate.apply(x, cos.contiguous(), sin.contiguous())


def swiglu(gate: Any, up: Any) -> Any:
    """silu(gate) * up (Shazeer 2020), outside of autograd."""
    if gate.is_cuda:
        from metier.training import kernels

        return kernels.swiglu(gate, up)
    return functional.silu(gate) * up


def swiglu_backward(grad: Any, gate: Any, up: Any) -> tuple[Any, Any, Any]:
    """silu(gate) * up once more, and the gradients by gate and up. On a GPU `grad` is overwritten."""
    if gate.is_cuda:
        from metier.training import kernels

        return kernels.swiglu_backward(grad, gate, up)
    share = torch.sigmoid(gate)
    silu = gate * share
    return silu * up, grad * up * share * (1 + gate * (1 - share)), grad * silu
