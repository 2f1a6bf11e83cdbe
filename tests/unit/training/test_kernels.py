"""The Triton kernels in Triton's interpreter, against the formulas that a CPU runs.

Triton reads that it shall interpret when it is imported, so these tests run in a process of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as functional

from metier.training import elementwise, nf4

pytest.importorskip("triton")


INTERPRETED = "TRITON_INTERPRET"


@pytest.mark.skipif(INTERPRETED in os.environ, reason="this is the process that it starts")
def test_the_kernels_compute_what_their_formulas_say():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "interpreted", __file__]
    done = subprocess.run(command, env=os.environ | {INTERPRETED: "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "14 passed" in done.stdout


@pytest.fixture
def kernels():
    if INTERPRETED not in os.environ:
        pytest.skip("run by the test above")
    from metier.training import kernels

    return kernels


@pytest.mark.parametrize("width", [64, 100])
def test_interpreted_rms_norm(kernels, width):
    torch.manual_seed(0)
    x, weight, grad = torch.randn(3, 2, width, requires_grad=True), torch.randn(width), torch.randn(3, 2, width)
    plain = functional.rms_norm(x, (width,), weight, 1e-5)
    torch.testing.assert_close(kernels.rms_norm(x.detach(), weight, 1e-5), plain.detach())
    (expected,) = torch.autograd.grad(plain, x, grad)
    torch.testing.assert_close(kernels.rms_norm_backward(grad, x.detach(), weight, 1e-5), expected)
    (formula,) = torch.autograd.grad(elementwise.rms_norm(x, weight, 1e-5), x, grad)
    torch.testing.assert_close(formula, expected)


@pytest.mark.parametrize(("heads", "width"), [(1, 16), (3, 16), (4, 16), (3, 80), (2, 96), (1, 120)])
def test_interpreted_rotary_positions_turn_and_turn_back(kernels, heads, width):
    torch.manual_seed(0)
    angles = torch.rand(5, width // 2).repeat(1, 2)
    x = torch.randn(5, heads, width)
    turned = kernels.rotate(x, angles.cos(), angles.sin(), 1.0)
    torch.testing.assert_close(turned, elementwise.rotate(x, angles.cos(), angles.sin()))
    torch.testing.assert_close(kernels.rotate(turned, angles.cos(), angles.sin(), -1.0), x)


@pytest.mark.parametrize("size", [(2, 5), (3, 1024)])
def test_interpreted_swiglu(kernels, size):
    torch.manual_seed(0)
    gate, up = torch.randn(size, requires_grad=True), torch.randn(size, requires_grad=True)
    grad = torch.randn(size)
    plain = functional.silu(gate) * up
    torch.testing.assert_close(kernels.swiglu(gate.detach(), up.detach()), plain.detach())
    expected = (plain.detach(), *torch.autograd.grad(plain, (gate, up), grad))
    for found in (
        elementwise.swiglu_backward(grad.clone(), gate.detach(), up.detach()),
        kernels.swiglu_backward(grad.clone(), gate.detach(), up.detach()),
    ):
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("shape", [(64, 64), (300, 128)])
def test_interpreted_unpacking_4_bits(kernels, shape):
    torch.manual_seed(0)
    packed, absmax, low, step = nf4.quantise(torch.randn(shape))
    table = torch.tensor(nf4.CODES)
    out = torch.full((absmax.numel() * nf4.BLOCK,), float("nan"))
    kernels.dequantise(packed, absmax, low, step, table, nf4.GROUP, out)
    torch.testing.assert_close(out, nf4.dequantised(packed, absmax, low, step, table))


@pytest.mark.parametrize("words", [16, 100])
def test_interpreted_cross_entropy(kernels, monkeypatch, words):
    monkeypatch.setattr(kernels, "WIDEST", 32)  # a hundred words are four parts, the last one short
    torch.manual_seed(0)
    logits, targets = (torch.randn(6, words) * 5).requires_grad_(), torch.randint(words, (6,))
    plain = functional.cross_entropy(logits, targets, reduction="none")
    (expected,) = torch.autograd.grad(plain.sum(), logits)
    mine = logits.detach().clone()
    torch.testing.assert_close(kernels.cross_entropy(mine, targets), plain.detach())
    torch.testing.assert_close(mine, expected)
