from __future__ import annotations

import contextlib

import pytest
import torch

from metier.errors import StepError
from metier.training.encoding import IGNORED, Example
from metier.training.engine import Peers, Replicated
from metier.training.fast_layers import accelerate
from metier.training.gradient import Pieces
from metier.training.model import LoraMethod, load_base, trainable, with_adapter
from metier.training.packs import alone, packed
from metier.training.probes import refuse_mixed_rows, shares_beginnings
from tests.fixtures.tiny_model import make_tiny_model

START = list(range(4, 34))
ALIKE = packed([Example([*START, *[40 + i] * 6], [IGNORED] * 30 + [40 + i] * 6) for i in range(7)], 200)
APART = alone([Example([1, *range(40 + i, 52 + i), 2], [IGNORED, *range(40 + i, 52 + i), 2]) for i in range(3)])


@pytest.fixture
def engine(tmp_path):
    model = with_adapter(load_base(str(make_tiny_model(tmp_path, ["some text"])), "cpu"), LoraMethod(rank=4), seed=0)
    return Replicated(model, torch.optim.AdamW(list(trainable(model).values())), "cpu", Peers())


def pieces(rows: bool = False) -> Pieces:
    return Pieces(tokens=1000, pad=2, device="cpu", arithmetic=contextlib.nullcontext, rows=rows)


def change_layer(engine, forward) -> None:
    layer = engine.model.get_base_model().model.layers[0]
    plain = layer.forward
    layer.forward = lambda hidden, **settings: plain(forward(hidden, settings), **settings)


def test_a_plain_decoder_keeps_the_texts_of_a_row_apart(engine):
    accelerate(engine.model)
    refuse_mixed_rows(engine, pieces(rows=True), APART)


def test_a_model_that_mixes_the_texts_of_a_row_is_refused(engine):
    accelerate(engine.model)
    change_layer(engine, lambda hidden, settings: hidden.cumsum(1) if "segments" in settings else hidden)
    with pytest.raises(StepError, match=r"lets examples see each other; set train\.packing to padded"):
        refuse_mixed_rows(engine, pieces(rows=True), APART)


def test_a_plain_decoder_can_compute_a_beginning_once(engine):
    assert [p.shared for p in ALIKE] == [29]
    assert shares_beginnings(engine, pieces(), ALIKE)


def test_a_recurrence_can_not(engine):
    """Each token carries on what stands before it in the row, whichever text that belongs to."""
    with torch.no_grad():
        engine.model.get_base_model().model.embed_tokens.weight.mul_(50)
    change_layer(engine, lambda hidden, settings: hidden.cumsum(1))
    assert not shares_beginnings(engine, pieces(), ALIKE)
