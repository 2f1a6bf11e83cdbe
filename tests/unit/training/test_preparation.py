"""The GPU's branch runs here on a processor that is called `cpu:0`; what only a card can say is given."""

from __future__ import annotations

import pytest
import torch

from metier.training import card
from metier.training import fit as fit_of
from metier.training.engine import Peers
from metier.training.fit import Card
from metier.training.model import LoraMethod, QloraMethod, trainable
from metier.training.nf4 import Nf4Linear
from metier.training.preparation import prepared
from metier.training.recipe import Recipe
from tests.fixtures.tiny_model import make_tiny_model

RECIPE = Recipe(batch_tokens=2048, pack_tokens=512)
ROOM, TIGHT = 4e9, 2.8e6  # bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"]))


@pytest.fixture
def on_card(monkeypatch):
    """A function that says how much memory the card has, and how many bytes its steps peak at, one after the other."""

    def given(memory: float, *peaks: int) -> None:
        left = list(peaks)
        monkeypatch.setattr(fit_of, "OTHER_BYTES", 0)  # more than all that this model needs
        monkeypatch.setattr(card, "measured", lambda device: Card(memory, 1e12, 1e11))
        monkeypatch.setattr(card, "let_segments_grow", lambda: None)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)

        def peak(device: str) -> int:
            if (one := left.pop(0)) < 0:
                raise torch.OutOfMemoryError("no room")
            return one

        monkeypatch.setattr(torch.cuda, "max_memory_allocated", peak)

    return given


def test_a_processor_needs_no_fit_and_stays_on_the_plain_path(folder):
    engine, fit = prepared(folder, LoraMethod(rank=4), RECIPE, "cpu", 100)
    assert fit is None
    assert not any("forward" in vars(m) for m in engine.model.modules())


def test_a_card_with_room_gets_the_fast_path_and_a_confirmed_fit(folder, on_card):
    on_card(ROOM, 1000)
    engine, fit = prepared(folder, QloraMethod(rank=4), RECIPE, "cpu:0", 100)
    assert (fit.piece_tokens, fit.checkpointing, fit.dense) == (2048, "none", True)
    moments = 8 * sum(p.numel() for p in trainable(engine.model).values())
    assert fit.measured_bytes == 1000 + moments
    assert any("forward" in vars(m) for m in engine.model.modules())
    assert all(p.grad is None for p in trainable(engine.model).values())


def test_where_a_step_runs_out_of_memory_a_smaller_fit_is_put_into_force(folder, on_card):
    on_card(ROOM, -1, 1000)
    _, first = prepared(folder, LoraMethod(rank=4), RECIPE, "cpu", 100)
    engine, fit = prepared(folder, LoraMethod(rank=4), RECIPE, "cpu:0", 100)
    assert first is None
    assert fit.piece_tokens < 2048 or fit.recomputed
    assert fit.measured_bytes
    layers = engine.model.get_base_model().model.layers
    assert sum(layer.gradient_checkpointing for layer in layers) == fit.recomputed


def test_a_tight_card_keeps_weights_packed(folder, on_card):
    on_card(TIGHT, 1000)
    engine, fit = prepared(folder, QloraMethod(rank=4), RECIPE.model_copy(update={"pack_tokens": 64}), "cpu:0", 64)
    assert fit.predicted_bytes < TIGHT
    assert not fit.dense
    assert sum(isinstance(m, Nf4Linear) for m in engine.model.modules()) == 14


def test_workers_share_the_tokens_of_a_step(folder, on_card):
    on_card(ROOM, 1000)
    _, fit = prepared(folder, LoraMethod(rank=4), RECIPE, "cpu:0", 100, Peers(0, 2))
    assert fit.piece_tokens == 1024
