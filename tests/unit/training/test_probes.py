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
from metier.training.probes import refuse_mixed_rows, refuse_other_loss, shares_beginnings
from tests.fixtures.spread_training import opened, steps
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.worker_processes import in_workers

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


@pytest.mark.parametrize("rows", [False, True])
def test_a_plain_decoder_has_the_loss_that_is_trained(engine, rows):
    if rows:
        accelerate(engine.model)
    refuse_other_loss(engine, pieces(rows), APART)
    assert engine.model.training


@pytest.mark.parametrize("rows", [False, True])
def test_a_model_that_does_more_to_its_logits_is_refused(engine, rows):
    base = engine.model.get_base_model()
    with torch.no_grad():
        base.model.embed_tokens.weight.mul_(50)  # the output layer's too
    if rows:
        accelerate(engine.model)
    plain = base.forward

    def forward(**inputs):
        said = plain(**inputs)
        said.logits = said.logits.clamp(min=-1.0)
        return said

    base.forward = forward
    with pytest.raises(StepError, match=r"by the model's own logits it is .* a LlamaForCausalLM changes its logits"):
        refuse_other_loss(engine, pieces(rows), APART)


def asked(peers: Peers, folder: str, kind: str) -> list[float]:
    """A step behind the question has the loss that it has without."""
    engines = [opened(folder, kind, "lora", peers) for _ in range(2)]
    refuse_other_loss(engines[0], pieces(), APART)
    return [steps(engine, 1)[0][0] for engine in engines]


@pytest.mark.parametrize("kind", ["fsdp2", "zero3"])
def test_workers_that_hold_parts_ask_together(kind, tmp_path):
    folder = str(make_tiny_model(tmp_path / "model", ["some text"]))
    for behind, without in in_workers(asked, 2, tmp_path / "run", folder, kind):
        assert behind == pytest.approx(without, abs=1e-6)


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
