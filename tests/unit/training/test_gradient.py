from __future__ import annotations

import contextlib
import dataclasses

import pytest
import torch

from metier.errors import StepError
from metier.training.encoding import IGNORED, Example
from metier.training.engine import Peers, Replicated
from metier.training.gradient import Pieces, Share, backward, labels_in, refuse_severed
from metier.training.model import LoraMethod, load_base, trainable, with_adapter
from metier.training.packs import alone, packed
from tests.fixtures.tiny_model import make_tiny_model

EXAMPLES = alone([
    Example([1, 40, 41, 42, 2], [IGNORED, IGNORED, 41, 42, 2]),
    Example([1, 50, 2], [IGNORED, 50, 2]),
    Example([1, 60, 61, 62, 63, 64, 65, 2], [IGNORED, IGNORED, IGNORED, IGNORED, 63, 64, 65, 2]),
    Example([1, 70, 71, 2], [1, IGNORED, 71, 2]),
])  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"]))


@pytest.fixture
def model(folder):
    model = with_adapter(load_base(folder, "cpu"), LoraMethod(rank=4), seed=0)
    with torch.no_grad():
        for name, weight in trainable(model).items():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return model.train()


def pieces(tokens: int = 1000) -> Pieces:
    return Pieces(tokens=tokens, pad=2, device="cpu", arithmetic=contextlib.nullcontext)


def engine_of(model, peers: Peers | None = None) -> Replicated:
    return Replicated(model, torch.optim.AdamW(list(trainable(model).values())), "cpu", peers or Peers())


def gradient(model, packs, tokens: int = 1000, peers: Peers | None = None):
    engine = engine_of(model, peers)
    engine.forget()
    loss = float(backward(engine, packs, Share.of(packs, pieces(tokens), engine), pieces(tokens)))
    return loss, {name: weight.grad.clone() for name, weight in trainable(model).items()}


def test_the_first_token_is_not_predicted_so_its_label_does_not_count():
    assert labels_in(EXAMPLES) == 3 + 2 + 4 + 2


def test_pieces_change_neither_loss_nor_gradient(model):
    whole, expected = gradient(model, EXAMPLES)
    pieced, got = gradient(model, EXAMPLES, tokens=8)
    assert whole == pytest.approx(pieced, rel=1e-5)
    for name in expected:
        torch.testing.assert_close(got[name], expected[name])


def test_two_workers_together_make_the_gradient_of_one(model):
    """Each worker's share is noted as it would be sent; their sum is what both would receive."""

    def share(rank: int) -> list[torch.Tensor]:
        sent: list[torch.Tensor] = []
        gradient(model, EXAMPLES, peers=Peers(rank, 2, lambda tensor: sent.append(tensor.clone())))
        return sent

    (flat_a, loss_a), (flat_b, loss_b) = share(0), share(1)
    loss, expected = gradient(model, EXAMPLES)
    assert float(loss_a + loss_b) == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(flat_a + flat_b, torch.cat([g.reshape(-1) for g in expected.values()]))


def test_a_worker_without_rows_still_takes_part(model):
    """With a piece that weighs nothing: its gradient is there, and zero."""
    received: list[torch.Tensor] = []
    loss, got = gradient(model, EXAMPLES[:1], peers=Peers(1, 2, received.append))
    assert loss == 0
    assert len(received) == 2
    assert all(float(g.abs().sum()) == 0 for g in got.values())


def test_workers_that_must_compute_together_get_equally_many_pieces(model):
    class Together(Replicated):
        collective = True

    shares = []
    for rank in range(3):
        engine = Together(model, torch.optim.AdamW(list(trainable(model).values())), "cpu", Peers(rank, 3))
        shares.append(Share.of(EXAMPLES, pieces(tokens=4), engine))
    number = {len(share.mine()) for share in shares}
    assert len(number) == 1
    worked = [pack for share in shares for piece, weight in share.mine() if weight for pack in piece]
    assert sorted(p.examples[0].ids for p in worked) == sorted(p.examples[0].ids for p in EXAMPLES)


def test_tokens_that_are_computed_are_counted_over_all_workers(model):
    share = Share.of(EXAMPLES, pieces(), engine_of(model))
    assert share.computed(pieces()) == len(EXAMPLES) * max(p.tokens for p in EXAMPLES)
    rows = dataclasses.replace(pieces(), rows=True)
    assert Share.of(EXAMPLES, rows, engine_of(model)).computed(rows) == sum(p.tokens for p in EXAMPLES)


def test_a_fresh_adapter_is_sound(folder):
    """Its first factors have no gradient, since its second ones are zero."""
    fresh = with_adapter(load_base(folder, "cpu"), LoraMethod(), seed=0)
    gradient(fresh, EXAMPLES)
    refuse_severed(engine_of(fresh).magnitudes())


def test_a_layer_that_no_gradient_reaches_is_named(model):
    gradient(model, EXAMPLES)
    weights = trainable(model)
    for name, weight in weights.items():
        if "layers.1.mlp.up_proj" in name:
            weight.grad = torch.zeros_like(weight)
    with pytest.raises(StepError, match=r"no gradient reaches 1 of 14 trained layers, first .*layers\.1\.mlp\.up_proj"):
        refuse_severed(engine_of(model).magnitudes())


def test_a_magnitude_belongs_to_its_layer(folder):
    dora = with_adapter(load_base(folder, "cpu"), LoraMethod(rank=4, dora=True), seed=0).train()
    gradient(dora, EXAMPLES)
    refuse_severed(engine_of(dora).magnitudes())
    for name, weight in trainable(dora).items():
        if "layers.0.self_attn.v_proj" in name:
            weight.grad = None
    with pytest.raises(StepError, match=r"no gradient reaches 1 of 14 trained layers, first .*layers\.0\..*v_proj:"):
        refuse_severed(engine_of(dora).magnitudes())


def test_a_gradient_that_is_not_finite_is_refused(model):
    gradient(model, EXAMPLES)
    next(iter(trainable(model).values())).grad[0, 0] = float("nan")
    with pytest.raises(StepError, match="not finite in 1 of 14 layers"):
        refuse_severed(engine_of(model).magnitudes())


def test_a_shared_beginning_changes_neither_loss_nor_gradient(model):
    begun = [1, *range(40, 60)]
    rests = ([70, 71, 72, 2], [80, 2], [90, 91, 2])
    rows = [Example(begun + rest, [IGNORED] * (len(begun) + 1) + rest[1:]) for rest in rests]
    other = Example([1, 30, 31, 2], [IGNORED, IGNORED, 31, 2])
    packs = packed([*rows, other], 100)
    assert sorted(p.tokens for p in packs) == [4, 21 + 4 + 2 + 3]
    loss, expected = gradient(model, alone([*rows, other]))
    shared, got = gradient(model, packs)
    assert shared == pytest.approx(loss, rel=1e-5)
    for name in expected:
        torch.testing.assert_close(got[name], expected[name])
