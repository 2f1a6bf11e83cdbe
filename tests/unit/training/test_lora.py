from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional

from metier.training.lora import Projection, gated_mlp, project

torch.manual_seed(0)
X = torch.randn(2, 5, 8)
WEIGHTS = [torch.randn(size, 8) for size in (6, 4, 6)]
BIASES = [None, torch.randn(4), None]
SCALES = (0.5, 2.0, 1.0)


def factors(sizes, inputs, ranks):
    """Trainable adapters; None twice where a layer has none."""
    made = []
    for size, rank in zip(sizes, ranks, strict=True):
        shapes = [(rank, inputs), (size, rank)]
        made += [torch.randn(shape, requires_grad=True) if rank else None for shape in shapes]
    return made


def plain(x, weight, bias, scale, down, up):
    y = functional.linear(x, weight, bias)
    return y if down is None else y + scale * functional.linear(functional.linear(x, down), up)


def projection(weight, bias, scale) -> Projection:
    return Projection(lambda: weight, bias, scale)


@pytest.mark.parametrize("ranks", [(2, 2, 2), (2, 0, 3), (0, 0, 0)])
@pytest.mark.parametrize("by_input", [True, False])
def test_projections_of_one_input_are_those_of_plain_layers(ranks, by_input):
    given = factors((6, 4, 6), 8, ranks)
    x = X.clone().requires_grad_(by_input)
    trained = [t for t in (x, *given) if t is not None and t.requires_grad]
    parts = tuple(map(projection, WEIGHTS, BIASES, SCALES))
    got = project(x, parts, given)
    expected = [
        plain(x, w, b, s, given[2 * i], given[2 * i + 1])
        for i, (w, b, s) in enumerate(zip(WEIGHTS, BIASES, SCALES, strict=True))
    ]
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs)
    if trained:
        grads = [torch.autograd.grad(sum(y.pow(2).sum() for y in ys), trained) for ys in (got, expected)]
        for mine, theirs in zip(*grads, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ranks", [(2, 2, 2), (2, 0, 0), (0, 0, 2), (0, 0, 0)])
def test_a_gated_mlp_is_that_of_plain_layers(ranks):
    torch.manual_seed(1)
    shapes = [(12, 8), (12, 8), (8, 12)]
    weights = [torch.randn(shape) / 4 for shape in shapes]
    given = factors((12, 12), 8, ranks[:2]) + factors((8,), 12, ranks[2:])
    x = X.clone().requires_grad_()
    got = gated_mlp(x, tuple(map(projection, weights, (None,) * 3, SCALES)), given)
    gate, up = (plain(x, weights[i], None, SCALES[i], given[2 * i], given[2 * i + 1]) for i in (0, 1))
    expected = plain(functional.silu(gate) * up, weights[2], None, SCALES[2], given[4], given[5])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    trained = [t for t in (x, *given) if t is not None]
    grads = [torch.autograd.grad(y.pow(2).sum(), trained) for y in (got, expected)]
    for mine, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-3)


def test_weights_may_share_one_buffer():
    """As 4-bit weights do, which are unpacked into the same room one after the other."""
    room = torch.empty(6 * 8)

    def unpacked(weight):
        def fill():
            view = room[: weight.numel()].view_as(weight)
            view.copy_(weight)
            return view

        return fill

    given = factors((6, 4), 8, (2, 2))
    x = X.clone().requires_grad_()
    shared = tuple(Projection(unpacked(w), None, 1.0) for w in WEIGHTS[:2])
    apart = tuple(projection(w, None, 1.0) for w in WEIGHTS[:2])
    both = [
        torch.autograd.grad(sum(y.sum() for y in project(x, parts, given)), [x, *given]) for parts in (shared, apart)
    ]
    for mine, theirs in zip(*both, strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("bias", [None, torch.randn(6)])
def test_under_autocast_both_passes_are_in_its_type_and_gradients_in_the_weights_own(bias):
    given = factors((6, 6, 8), 8, (2, 2, 0)) + factors((8,), 6, (2,))
    x = X.clone().requires_grad_()
    weights = [*WEIGHTS[::2], torch.randn(8, 6)]
    parts = tuple(map(projection, weights, (bias, None, None), SCALES))
    trained = [x, *given[:4], *given[6:]]

    def passed():
        ys = [*project(x, parts[:2], given[:4]), gated_mlp(x, parts, given[:4] + given[6:])]
        return ys, torch.autograd.grad(sum(y.float().square().mean() for y in ys), trained)

    outputs, exact = passed()
    with torch.autocast("cpu", torch.bfloat16):
        lowered, grads = passed()
    assert {y.dtype for y in lowered} == {torch.bfloat16}
    for mine, theirs in zip([*lowered, *grads], [*outputs, *exact], strict=True):
        assert (mine.float() - theirs).norm() < 0.02 * theirs.norm()
    assert [g.dtype for g in grads] == [torch.float32] * len(trained)
