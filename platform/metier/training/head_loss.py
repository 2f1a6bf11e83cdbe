"""Cross entropy over a large vocabulary without the logits of a whole row: chunk by chunk, gradient and all.

With 128,000 words and 16,000 tokens the logits alone would take 4 GB, their float32 softmax 8 and its gradient as much.
Each chunk's gradient follows from its own logits at once, so forward and backward are three matrix products a chunk and
nothing of the chunk is kept (the idea of Liger's fused linear cross entropy, Hsu et al. 2024). Chunks here are larger: a
product of few rows reads the head's weight anew for little work.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import Function

CHUNK_ROWS = 2048


def head_loss(hidden: Any, weight: Any, targets: Any) -> Any:
    """Summed cross entropy of hidden (rows, width) through a head (words, width); float32."""
    return _HeadLoss.apply(hidden, weight, targets)


class _HeadLoss(Function):
    @staticmethod
    def forward(ctx: Any, hidden: Any, weight: Any, targets: Any) -> Any:
        wanted, weighted = ctx.needs_input_grad[:2]
        by_hidden = torch.empty_like(hidden) if wanted else None
        by_weight = torch.zeros_like(weight, dtype=torch.float32) if weighted else None
        dense = weight.to(hidden.dtype)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            logits = hidden[chunk] @ dense.t()
            total += cross_entropy(logits, targets[chunk]).sum()  # and the logits become their gradient
            if by_hidden is not None:
                torch.mm(logits, dense, out=by_hidden[chunk])
            if by_weight is not None:
                by_weight += logits.t() @ hidden[chunk]
        ctx.save_for_backward(by_hidden, by_weight)
        ctx.weight_dtype = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, grad: Any) -> tuple[Any, Any, None]:
        by_hidden, by_weight = ctx.saved_tensors
        return (
            # in float32: 1 / labels rounded to bfloat16 would scale every gradient alike, and wrongly
            (by_hidden.float() * grad).to(by_hidden.dtype) if by_hidden is not None else None,
            (by_weight * grad).to(ctx.weight_dtype) if by_weight is not None else None,
            None,
        )


def cross_entropy(logits: Any, targets: Any) -> Any:
    """Losses (rows), float32; the logits are overwritten with the gradient of the losses' sum."""
    if logits.is_cuda:
        from metier.training import kernels

        return kernels.cross_entropy(logits, targets)
    shares = torch.log_softmax(logits.float(), dim=-1)
    rows = torch.arange(len(targets), device=targets.device)
    losses = -shares[rows, targets]
    shares.exp_()
    shares[rows, targets] -= 1
    logits.copy_(shares)
    return losses
