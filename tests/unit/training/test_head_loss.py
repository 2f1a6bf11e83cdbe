from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional

from metier.training import head_loss


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("rows", [3, 8])
def test_loss_and_gradients_are_those_of_the_whole_logits(monkeypatch, trained, rows):
    monkeypatch.setattr(head_loss, "CHUNK_ROWS", 3)  # eight rows are three chunks, the last one short
    torch.manual_seed(0)
    hidden, weight = torch.randn(rows, 16, requires_grad=True), torch.randn(50, 16, requires_grad=trained)
    targets = torch.randint(50, (rows,))
    expected = functional.cross_entropy(hidden @ weight.t(), targets, reduction="sum") / 7
    got = head_loss.head_loss(hidden, weight, targets) / 7
    torch.testing.assert_close(got, expected)
    wanted = [hidden, weight] if trained else [hidden]
    for mine, plain in zip(torch.autograd.grad(got, wanted), torch.autograd.grad(expected, wanted), strict=True):
        torch.testing.assert_close(mine, plain)


def test_in_bfloat16_the_gradient_keeps_the_scale_of_the_mean():
    """1 / 817 rounded to bfloat16 would be off by 0.3 % in every gradient."""
    torch.manual_seed(0)
    hidden, weight = torch.randn(64, 16).bfloat16().requires_grad_(), torch.randn(50, 16).bfloat16()
    targets = torch.randint(50, (64,))
    (whole,) = torch.autograd.grad(head_loss.head_loss(hidden, weight, targets), hidden)
    (mean,) = torch.autograd.grad(head_loss.head_loss(hidden, weight, targets) / 817, hidden)
    assert float((mean.float() * 817).norm() / whole.float().norm()) == pytest.approx(1, abs=1e-3)


def test_an_empty_batch_costs_nothing_and_has_a_gradient():
    hidden = torch.zeros(0, 16, requires_grad=True)
    head_loss.head_loss(hidden, torch.randn(50, 16), torch.zeros(0, dtype=torch.long)).backward()
    assert hidden.grad.shape == (0, 16)
