from __future__ import annotations

import pytest
import torch
from torch import nn

from metier.training.model import LoraMethod, QloraMethod, load_base, load_trainable, trainable, weights_in
from metier.training.nf4 import CODES, Nf4Linear, Workspace, dequantised, quantise
from tests.fixtures.tiny_model import make_tiny_model


def rounded(weight: torch.Tensor) -> torch.Tensor:
    return dequantised(*quantise(weight), torch.tensor(CODES))[: weight.numel()].view_as(weight)


def test_normal_weights_come_back_as_well_as_the_format_allows():
    """Normal values in 16 quantile levels by blocks of 64: a relative error of 9.4 % (root mean square)."""
    torch.manual_seed(0)
    weight = torch.randn(256, 512) * 0.02
    error = float((rounded(weight) - weight).norm() / weight.norm())
    assert error == pytest.approx(0.094, abs=0.003)


def test_a_block_s_largest_weight_comes_back_within_the_8_bits_of_its_scale():
    torch.manual_seed(0)
    blocks = torch.randn(512, 64)
    most = blocks.abs().argmax(1, keepdim=True)
    largest = blocks.gather(1, most)
    spread = largest.abs().max() - largest.abs().min()
    assert float((rounded(blocks).gather(1, most) - largest).abs().max()) <= float(spread) / 255 / 2 + 1e-6


@pytest.mark.parametrize("shape", [(3, 64), (5, 7), (1, 1), (300, 65)])
def test_any_shape_comes_back_whole(shape):
    torch.manual_seed(0)
    weight = torch.randn(shape)
    assert rounded(weight).shape == shape
    assert float((rounded(weight) - weight).abs().max()) < 0.2 * float(weight.abs().max()) + 1e-6


def test_zeros_stay_zeros():
    assert float(rounded(torch.zeros(4, 64)).abs().max()) == 0


def test_a_weight_takes_little_more_than_four_bits():
    packed, absmax, low, step = quantise(torch.randn(512, 512))
    held = sum(part.nbytes for part in (packed, absmax, low, step))
    assert held * 8 / 512**2 == pytest.approx(4.129, abs=0.001)


def test_layers_that_share_a_workspace_compute_as_with_weights_of_their_own():
    torch.manual_seed(0)
    first, second = nn.Linear(64, 48), nn.Linear(48, 64, bias=False)
    room = Workspace()
    small = nn.Sequential(Nf4Linear(first, room, "cpu"), Nf4Linear(second, room, "cpu"))
    for linear in (first, second):
        linear.weight.data = rounded(linear.weight.data)
    x = torch.randn(5, 64, requires_grad=True)
    expected, got = second(first(x)), small(x)
    torch.testing.assert_close(got, expected)
    for mine, plain in zip(
        torch.autograd.grad(got.pow(2).sum(), x), torch.autograd.grad(expected.pow(2).sum(), x), strict=True
    ):
        torch.testing.assert_close(mine, plain)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"]))


def gradient(model) -> dict[str, torch.Tensor]:
    for weight in trainable(model).values():
        weight.grad = None
    ids = torch.arange(4, 20)[None]
    model.train()
    model(input_ids=ids, labels=ids).loss.backward()
    return {name: p.grad.clone() for name, p in trainable(model).items()}


def test_unpacked_and_packed_train_the_same(folder):
    packed, dense = (load_trainable(folder, QloraMethod(rank=4), 0, "cpu", dense=held) for held in (False, True))
    assert sum(isinstance(m, Nf4Linear) for m in packed.modules()) == 14
    assert not any(isinstance(m, Nf4Linear) for m in dense.modules())
    expected = gradient(dense)
    for name, mine in gradient(packed).items():
        torch.testing.assert_close(mine, expected[name])
    exact = gradient(load_trainable(folder, LoraMethod(rank=4), 0, "cpu", dense=True))
    assert any(not torch.allclose(exact[name], mine, rtol=1e-3) for name, mine in expected.items())


def test_an_evaluation_leaves_the_gradients_as_they_were(folder):
    model = load_trainable(folder, QloraMethod(rank=4), 0, "cpu", dense=False)
    before = gradient(model)
    model.eval()
    with torch.inference_mode():
        model(input_ids=torch.arange(4, 20)[None])
    for name, after in gradient(model).items():
        assert torch.equal(after, before[name])


def test_weights_in_4_bits_are_counted_as_weights(folder):
    whole = weights_in(load_base(folder, "cpu"))
    method = QloraMethod(rank=4)
    model = load_trainable(folder, method, 0, "cpu", dense=False)
    assert weights_in(model) == whole + sum(p.numel() for p in trainable(model).values())
