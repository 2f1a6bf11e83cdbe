from __future__ import annotations

import pytest
import torch

from metier.training import engine as engine_module
from metier.training.engine import Peers, Replicated


def engine_of(peers: Peers | None = None) -> Replicated:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), torch.nn.Linear(2, 4))
    model[0].weight.requires_grad_(True)
    return Replicated(model, torch.optim.SGD(model.parameters(), lr=9.0), "cpu", peers or Peers())


def gradients(engine: Replicated) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in engine.model.named_parameters()}


def test_what_is_frozen_neither_trains_nor_is_saved():
    engine = engine_of()
    engine.model[1].requires_grad_(False)
    frozen = Replicated(engine.model, torch.optim.SGD([engine.model[0].weight], lr=1.0), "cpu", Peers())
    assert frozen.shapes() == {"0.weight": (2, 3)}
    assert [name for name, _ in frozen.tensors()] == ["weight:0.weight"]


def test_gradients_are_summed_over_workers_once_a_step_in_large_messages(monkeypatch):
    monkeypatch.setattr(engine_module, "BUCKET", 10)
    sent: list[int] = []

    def double(tensor: torch.Tensor) -> None:
        sent.append(tensor.numel())
        tensor.mul_(2)

    alone, shared = engine_of(), engine_of(Peers(0, 2, double))
    for engine in (alone, shared):
        for number in range(2):
            engine.backward(engine.model(torch.ones(5, 3)).sum(), last=number == 1)
    assert sent == [10, 8]  # the first matrix and the bias fill a bucket
    expected = gradients(alone)
    assert all(torch.equal(grad, 2 * expected[name]) for name, grad in gradients(shared).items())


def test_a_step_clips_moves_at_the_rate_it_is_given_and_forgets():
    engine = engine_of()
    before = engine.model[1].weight.detach().clone()
    engine.backward(engine.model(torch.ones(5, 3)).sum(), last=True)
    grads = gradients(engine)
    whole = torch.cat([g.flatten() for g in grads.values()]).norm()
    assert engine.step(0.5, max_norm=1.0) == pytest.approx(float(whole))
    assert float(whole) > 1
    torch.testing.assert_close(engine.model[1].weight.detach(), before - 0.5 * grads["1.weight"] / whole)
    assert all(p.grad is None for p in engine.model.parameters())


def test_magnitudes_are_sums_of_absolute_values_and_zero_without_a_gradient():
    engine = engine_of()
    engine.model[0].weight.grad = torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, -1.0]])
    assert engine.magnitudes() == {"0.weight": 7.0, "1.bias": 0.0, "1.weight": 0.0}


def adam(engine: Replicated, device: str = "cpu") -> Replicated:
    """The engine's model under AdamW on a device, after a step where that is the CPU."""
    model = engine.model.to(device)
    made = Replicated(model, torch.optim.AdamW(model.parameters()), device, Peers())
    if device == "cpu":
        made.backward(model(torch.ones(5, 3)).sum(), last=True)
        made.step(0.5, max_norm=1.0)
    return made


def test_an_optimisers_counter_comes_back_beside_its_weight():
    """torch's fused AdamW refuses a counter elsewhere. The device without memory stands for one that isn't the CPU."""
    other = adam(engine_of(), "meta")
    other.load(dict(adam(engine_of()).tensors()))
    assert {tensor.device.type for _, tensor in other.tensors()} == {"meta"}


def test_counters_that_are_plain_numbers_come_back_as_such():
    saved = dict(adam(engine_of()).tensors())
    other = adam(engine_of())
    other.load({name: torch.tensor(7) if name.startswith("step:") else tensor for name, tensor in saved.items()})
    counters = [state["step"] for state in other._optimiser.state.values()]
    assert counters == [7, 7, 7]
    assert {type(counter) for counter in counters} == {int}


def test_what_was_saved_is_grouped_by_its_weight():
    saved = ["weight:a.b", "exp_avg:a.b", "weight:c:d"]
    assert engine_module.by_weight(saved) == {"a.b": ["weight", "exp_avg"], "c:d": ["weight"]}
