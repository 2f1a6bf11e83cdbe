from __future__ import annotations

import json

import pytest
import torch

from metier.errors import StepError
from metier.training import checkpoints


@pytest.fixture
def moved():
    """Two parameters after one step of Adam."""
    torch.manual_seed(0)
    weights = {"a.lora_A": torch.nn.Parameter(torch.randn(2, 3)), "b.lora_B": torch.nn.Parameter(torch.randn(3))}
    optimiser = torch.optim.AdamW(list(weights.values()), lr=0.1)
    for weight in weights.values():
        weight.grad = torch.ones_like(weight)
    optimiser.step()
    return weights, optimiser


def fresh():
    weights = {"a.lora_A": torch.nn.Parameter(torch.zeros(2, 3)), "b.lora_B": torch.nn.Parameter(torch.zeros(3))}
    return weights, torch.optim.AdamW(list(weights.values()), lr=0.1)


def test_weights_moments_random_state_and_position_come_back(moved, tmp_path):
    weights, optimiser = moved
    folder = checkpoints.save(tmp_path, 7, weights, optimiser, {"step": 7})
    expected = torch.rand(3)
    others, other_optimiser = fresh()
    assert checkpoints.restore(folder, others, other_optimiser) == {"step": 7}
    assert torch.equal(torch.rand(3), expected)
    for name, weight in weights.items():
        assert torch.equal(others[name], weight)
        state, other = optimiser.state[weight], other_optimiser.state[others[name]]
        assert all(torch.equal(state[key], other[key]) for key in ("step", "exp_avg", "exp_avg_sq"))


def test_an_optimiser_that_counts_in_plain_numbers_gets_one_back(moved, tmp_path):
    """As bitsandbytes' 8-bit AdamW does, whose moments are bytes."""
    weights, optimiser = moved
    for weight in weights.values():
        optimiser.state[weight] = {"step": 3, "state1": torch.arange(4, dtype=torch.uint8)}
    folder = checkpoints.save(tmp_path, 7, weights, optimiser, {"step": 7})
    others, other_optimiser = fresh()
    checkpoints.restore(folder, others, other_optimiser)
    for weight in others.values():
        state = other_optimiser.state[weight]
        assert (type(state["step"]), state["step"], state["state1"].tolist()) == (int, 3, [0, 1, 2, 3])


def test_only_the_newest_keeps_the_optimiser_but_all_keep_their_weights(moved, tmp_path):
    for step in (1, 2, 3):
        checkpoints.save(tmp_path, step, *moved, {"step": step})
    found = checkpoints.complete(tmp_path)
    assert [json.loads((f / checkpoints.STATE).read_text())["step"] for f in found] == [1, 2, 3]
    assert [(f / checkpoints.OPTIMISER).exists() for f in found] == [False, False, True]
    assert all((f / checkpoints.ADAPTER).exists() for f in found)
    assert checkpoints.newest(tmp_path) == found[-1]


def test_what_a_kill_left_half_written_is_replaced(moved, tmp_path):
    partial = tmp_path / "step-000001.partial"
    partial.mkdir()
    (partial / "rest").write_text("of a killed attempt")
    folder = checkpoints.save(tmp_path, 1, *moved, {"step": 1})
    assert not partial.exists()
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [checkpoints.ADAPTER, checkpoints.OPTIMISER, checkpoints.STATE]
    )


def test_nothing_is_no_checkpoint(tmp_path):
    assert checkpoints.newest(tmp_path) is None


@pytest.mark.parametrize(
    "other",
    [{"a.lora_A": (2, 4), "b.lora_B": (3,)}, {"a.lora_A": (2, 3)}, {"a.lora_A": (2, 3), "c.lora_B": (3,)}],
)
def test_weights_of_another_shape_or_name_are_refused(moved, tmp_path, other):
    folder = checkpoints.save(tmp_path, 1, *moved, {"step": 1})
    weights = {name: torch.nn.Parameter(torch.zeros(shape)) for name, shape in other.items()}
    with pytest.raises(StepError, match="checkpoint of another model or method"):
        checkpoints.load_weights(folder, weights)
