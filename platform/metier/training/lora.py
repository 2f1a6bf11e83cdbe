"""Linear layers with frozen weights and low-rank adapters, as autograd functions that keep and compute no more than needed.

Layers of one input (query, key and value; gate and up) are one function: the input is kept once, and the first factors of
all their adapters are one matrix product. No weight gradient is made for what is frozen, nothing is copied for a dropout
that is zero, and a gated MLP keeps no product of gate and up: it is computed again from both. What differs from PEFT's
layers is the order of sums alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd import Function

from metier.training.elementwise import swiglu, swiglu_backward


@dataclass(frozen=True)
class Projection:
    """The frozen half of a linear layer."""

    weight: Callable[[], Any]  # (outputs, inputs); may be valid until the next call only
    bias: Any | None
    scale: float  # of the adapter


Factors = Sequence[
    Any
]  # down and up factor of each projection in turn, (rank, inputs) and (outputs, rank), or None twice


def project(x: Any, projections: tuple[Projection, ...], factors: Factors) -> tuple[Any, ...]:
    """x W' + bias + scale * x A' B' of each projection."""
    outputs: tuple[Any, ...] = _Projections.apply(_computed(x), projections, *factors)
    return outputs


def gated_mlp(x: Any, projections: tuple[Projection, Projection, Projection], factors: Factors) -> Any:
    """down(silu(gate(x)) * up(x)), the projections in the order gate, up, down."""
    return _GatedMlp.apply(_computed(x), projections, *factors)


def _computed(x: Any) -> Any:
    """x in the type that autocast computes in: products in place and the backward pass are none of its own."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


class _Projections(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, projections: tuple[Projection, ...], *factors: Any) -> tuple[Any, ...]:
        rows, lowered = x.reshape(-1, x.shape[-1]), _lowered(factors, x.dtype)
        outputs, narrow = _project(rows, projections, lowered)
        ctx.projections = projections
        ctx.save_for_backward(rows, narrow, *lowered)
        return tuple(y.view(*x.shape[:-1], y.shape[-1]) for y in outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        rows, narrow, *factors = ctx.saved_tensors
        flat = [g.reshape(-1, g.shape[-1]) for g in grads]
        by_x, passed, by_up = _back(narrow, flat, ctx.projections, factors, ctx.needs_input_grad[0])
        by_x = by_x.view(*grads[0].shape[:-1], rows.shape[-1]) if by_x is not None else None
        return by_x, None, *_by_factors(rows, passed, by_up, factors)


class _GatedMlp(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, projections: tuple[Projection, ...], *factors: Any) -> Any:
        rows, lowered = x.reshape(-1, x.shape[-1]), _lowered(factors, x.dtype)
        (gate, up), narrow = _project(rows, projections[:2], lowered[:4])
        (y,), narrow_down = _project(swiglu(gate, up), projections[2:], lowered[4:])
        ctx.projections = projections
        ctx.save_for_backward(rows, gate, up, narrow, narrow_down, *lowered)
        return y.view(*x.shape[:-1], y.shape[-1])

    @staticmethod
    def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
        rows, gate, up, narrow, narrow_down, *factors = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1])
        by_product, passed, by_up = _back(narrow_down, [flat], ctx.projections[2:], factors[4:], True)
        product, *by_both = swiglu_backward(by_product, gate, up)
        of_down = _by_factors(product, passed, by_up, factors[4:])
        del product, by_product
        by_x, passed, by_up = _back(narrow, by_both, ctx.projections[:2], factors[:4], ctx.needs_input_grad[0])
        by_x = by_x.view(*grad.shape[:-1], rows.shape[-1]) if by_x is not None else None
        return by_x, None, *_by_factors(rows, passed, by_up, factors[:4]), *of_down


def _pairs(factors: Factors) -> list[tuple[Any, Any]]:
    return list(zip(factors[0::2], factors[1::2], strict=True))


def _lowered(factors: Factors, dtype: Any) -> list[Any | None]:
    """The factors as they are computed with; autograd raises their gradients to the factors' own type again."""
    return [None if factor is None else factor.to(dtype) for factor in factors]


def _downs(factors: Factors) -> Any | None:
    """The first factors of all adapters, one below the other."""
    downs = [down for down, _ in _pairs(factors) if down is not None]
    return torch.cat(downs) if downs else None


def _parts(factors: Factors) -> list[slice | None]:
    """Which columns of the narrow product are whose."""
    found: list[slice | None] = []
    at = 0
    for down, _ in _pairs(factors):
        rank = 0 if down is None else down.shape[0]
        found.append(slice(at, at + rank) if rank else None)
        at += rank
    return found


def _project(x: Any, projections: Sequence[Projection], factors: Factors) -> tuple[list[Any], Any | None]:
    """The outputs, and the narrow product of x with all first factors."""
    downs = _downs(factors)
    narrow = None if downs is None else x @ downs.t()
    outputs = []
    for one, (_, up), part in zip(projections, _pairs(factors), _parts(factors), strict=True):
        weight = one.weight()
        y = x @ weight.t() if one.bias is None else torch.addmm(one.bias, x, weight.t())
        if narrow is not None and part is not None:
            y.addmm_(narrow[:, part], up.t(), alpha=one.scale)
        outputs.append(y)
    return outputs, narrow


def _back(
    narrow: Any | None, grads: Sequence[Any], projections: Sequence[Projection], factors: Factors, by_input: bool
) -> tuple[Any | None, Any | None, list[Any | None]]:
    """The gradient by x, where it is wanted; that by the narrow product; and those by the second factors."""
    by_x, passed = None, torch.empty_like(narrow) if narrow is not None else None
    by_up: list[Any | None] = []
    for one, grad, (_, up), part in zip(projections, grads, _pairs(factors), _parts(factors), strict=True):
        if by_input:
            weight = one.weight().to(grad.dtype)
            by_x = grad @ weight if by_x is None else by_x.addmm_(grad, weight)
        if narrow is None or passed is None or part is None:
            by_up.append(None)
            continue
        mine = passed[:, part]
        torch.addmm(mine, grad, up, beta=0, alpha=one.scale, out=mine)
        by_up.append(torch.addmm(up, grad.t(), narrow[:, part], beta=0, alpha=one.scale))
    if by_x is not None and passed is not None:
        by_x.addmm_(passed, _downs(factors))
    return by_x, passed, by_up


def _by_factors(x: Any, passed: Any | None, by_up: Sequence[Any | None], factors: Factors) -> list[Any | None]:
    """The gradients in the factors' own order."""
    if passed is None:
        return [None] * len(factors)
    by_downs = passed.t() @ x
    found: list[Any | None] = []
    for part, of_up in zip(_parts(factors), by_up, strict=True):
        found += [None if part is None else by_downs[part], of_up]
    return found
