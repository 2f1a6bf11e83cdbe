from __future__ import annotations

import dataclasses

import pytest
import torch

from metier.errors import InputError, StepError
from metier.training.card import CONTEXT_BYTES, confirmed, listed, optimiser_of, recompute
from metier.training.fit import Fit
from metier.training.model import load_base
from tests.fixtures.tiny_model import make_tiny_model

FIT = Fit(
    piece_tokens=4096, recomputed=0, layers=2, dense=True, optimiser="adamw", predicted_bytes=1000, tokens_per_second=9
)
ROOM = 10_000.0  # bytes


def test_a_fit_that_holds_is_kept_with_what_was_measured():
    found = confirmed(FIT, lambda fit: 950, lambda memory: pytest.fail("not asked for"), ROOM)
    assert found == dataclasses.replace(FIT, measured_bytes=950)


def test_a_fit_that_runs_out_of_memory_makes_way_for_smaller_ones():
    def step(fit: Fit) -> int:
        if fit.predicted_bytes > 850:
            raise torch.OutOfMemoryError("no room")
        return fit.predicted_bytes

    found = confirmed(
        FIT, step, lambda memory: dataclasses.replace(FIT, predicted_bytes=int(memory), recomputed=1), ROOM
    )
    assert (found.measured_bytes, found.recomputed) == (810, 1)


def test_a_step_that_would_have_no_room_for_the_moments_is_made_smaller():
    found = confirmed(
        FIT,
        lambda fit: fit.predicted_bytes + 100,
        lambda memory: dataclasses.replace(FIT, predicted_bytes=int(memory)),
        room=1000,
    )
    assert (found.predicted_bytes, found.measured_bytes) == (900, 1000)


def test_a_card_that_others_fill_ends_training_with_the_cause():
    def step(fit: Fit) -> int:
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(StepError, match=r"out of memory even in rows of 4096 tokens; something else may use the card"):
        confirmed(FIT, step, lambda memory: FIT, ROOM)


def test_the_first_layers_are_recomputed_and_can_be_fewer_again(tmp_path):
    model = load_base(str(make_tiny_model(tmp_path, ["some text"])), "cpu")
    for number in (2, 1, 0, None):
        recompute(model, number)
        layers = 2 if number is None else number
        assert [layer.gradient_checkpointing for layer in model.model.layers] == [i < layers for i in range(2)]
    with pytest.raises(StepError, match="3 layers can't be recomputed.* for 2 of this model"):
        recompute(model, 3)


def test_the_optimiser_on_a_processor_is_torch_s_own():
    weight = torch.nn.Parameter(torch.zeros(2))
    assert type(optimiser_of("auto", [weight], "cpu", 1e-3, 0.0)) is torch.optim.AdamW
    for kind in ("adamw_8bit", "paged_adamw_8bit"):
        with pytest.raises(InputError, match=f"{kind} needs a GPU"):
            optimiser_of(kind, [weight], "cpu", 1e-3, 0.0)


def test_a_plan_reads_the_smallest_card_from_the_driver_s_list(fake_gpus):
    fake_gpus(81559, 24564)
    assert listed().memory == 24564 * 2**20 - CONTEXT_BYTES


def test_a_machine_without_a_driver_or_a_working_one_has_no_card(fake_gpus, monkeypatch):
    fake_gpus()
    assert listed() is None
    monkeypatch.setenv("PATH", "")
    assert listed() is None
