from __future__ import annotations

import threading

import pytest
import torch

from metier.errors import InputError, MachineError
from metier.training import checkpoints
from metier.training.engine import Peers, Replicated
from metier.training.storage import Storage

SHAPES = {"a.lora_A": (2, 3), "b.lora_B": (3,)}
ALL = frozenset(range(99))
IDENTITY = {"base model": "one", "method": "lora"}


class Weights(torch.nn.Module):
    """Two parameters under the names of an adapter's."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], value: float = 0.0) -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name.replace(".", "/"), torch.nn.Parameter(torch.full(shape, value)))

    def named_parameters(self, *arguments, **settings):
        return ((name.replace("/", "."), p) for name, p in super().named_parameters(*arguments, **settings))


def engine_of(shapes=SHAPES, value: float = 0.0, peers: Peers | None = None) -> Replicated:
    model = Weights(shapes, value)
    return Replicated(model, torch.optim.AdamW(list(model.parameters()), lr=0.1), "cpu", peers or Peers())


@pytest.fixture
def storage(tmp_path):
    return Storage(str(tmp_path / "checkpoints"))


def moved(value: float = 1.0, peers: Peers | None = None) -> Replicated:
    """An engine after one step of Adam."""
    engine = engine_of(value=value, peers=peers)
    for weight in engine.model.parameters():
        weight.grad = torch.ones_like(weight)
    engine.step(0.1, 1000.0)
    return engine


def save(storage: Storage, engine: Replicated, step: int, keep=ALL) -> None:
    saver = checkpoints.Saver(storage, engine)
    saver.save({"step": step, "identity": IDENTITY, "history": {}, "optimiser": "adamw"}, keep)
    saver.close()


def contents(engine: Replicated) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in engine.tensors()}


def test_weights_moments_and_position_come_back(storage):
    engine, other = moved(), engine_of()
    save(storage, engine, 7)
    state = checkpoints.newest(storage)
    assert (state["step"], state["identity"]) == (7, IDENTITY)
    checkpoints.restore(storage, state, other)
    expected = contents(engine)
    assert {name.split(":")[0] for name in expected} == {"weight", "step", "exp_avg", "exp_avg_sq"}
    for name, tensor in contents(other).items():
        assert torch.equal(tensor, expected[name]), name


def test_an_optimiser_that_counts_in_plain_numbers_gets_one_back(storage):
    """As bitsandbytes' 8-bit AdamW does, whose moments are bytes."""
    engine, other = moved(), engine_of()
    for weight in engine.model.parameters():
        engine._optimiser.state[weight] = {"step": 3, "state1": torch.arange(4, dtype=torch.uint8)}
    save(storage, engine, 7)
    checkpoints.restore(storage, checkpoints.newest(storage), other)
    for state in other._optimiser.state.values():
        assert (type(state["step"]), state["step"], state["state1"].tolist()) == (int, 3, [0, 1, 2, 3])


def test_workers_write_a_part_each_and_any_number_of_them_goes_on(storage):
    """Two writers, one reader; the checkpoint is none before the second has written."""
    number = {"sent": 7}
    peers = [Peers(rank, 2, lambda t: t.fill_(number["sent"])) for rank in range(2)]
    engines = [moved(peers=peer) for peer in peers]
    save(storage, engines[0], 3)
    assert checkpoints.newest(storage) is None
    assert checkpoints.complete(storage) == {}
    save(storage, engines[1], 3)
    other = engine_of()
    checkpoints.restore(storage, checkpoints.newest(storage), other)
    expected = contents(moved())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in contents(other).items())
    sizes = [len(list((storage_folder(storage) / "step-000003").glob(f"*-{rank}-of-2.safetensors"))) for rank in (0, 1)]
    assert sizes == [2, 2]


def storage_folder(storage: Storage):
    from pathlib import Path

    return Path(storage.place)


def test_files_of_an_attempt_that_was_killed_are_never_mixed_in(storage):
    """Its first worker had written, its second had not; the next attempt's second worker must not complete it."""
    first = moved(peers=Peers(0, 2, lambda t: t.fill_(1)))
    save(storage, first, 3)
    second = moved(peers=Peers(1, 2, lambda t: t.fill_(2)))
    save(storage, second, 3)
    assert checkpoints.newest(storage) is None


def test_only_the_newest_keeps_the_optimiser_and_what_may_be_best_its_weights(storage):
    for step in (1, 2, 3, 4):
        save(storage, moved(), step, keep=[2, 3, 4])
    assert list(checkpoints.complete(storage)) == [2, 3, 4]
    assert checkpoints.newest(storage)["step"] == 4
    kept = {name.rsplit("-", 4)[0] for name in storage.names() if "moments" in name}
    assert kept == {"step-000004/moments"}
    assert not any(name.startswith("step-000001") for name in storage.names())


def test_training_goes_on_while_a_checkpoint_is_written(storage, monkeypatch):
    """What is saved is the state of the moment, though the weights move while it is being written."""
    engine = moved()
    expected = contents(engine)
    saver, may_write, put = checkpoints.Saver(storage, engine), threading.Event(), storage.put

    def slowly(name, file) -> None:
        may_write.wait(10)
        put(name, file)

    monkeypatch.setattr(storage, "put", slowly)
    saver.save({"step": 1, "identity": IDENTITY, "history": {}, "optimiser": "adamw"}, [1])
    for weight in engine.model.parameters():
        weight.data.fill_(77.0)
    assert checkpoints.newest(storage) is None
    may_write.set()
    saver.close()
    with checkpoints.opened(storage, checkpoints.newest(storage)) as saved:
        assert all(torch.equal(saved[name], tensor) for name, tensor in expected.items())


def test_what_goes_wrong_with_writing_is_raised(storage, monkeypatch):
    def full(name, file) -> None:
        raise MachineError("no space is left")

    saver = checkpoints.Saver(storage, moved())
    monkeypatch.setattr(storage, "put", full)
    saver.save({"step": 1, "identity": IDENTITY, "history": {}, "optimiser": "adamw"}, [1])
    with pytest.raises(MachineError, match="no space"):
        saver.finish()
    saver.close()


def test_what_another_worker_could_not_write_is_raised_here_too(storage):
    saver = checkpoints.Saver(storage, moved(peers=Peers(0, 2, lambda tensor: tensor.add_(1))))
    saver.save({"step": 1, "identity": IDENTITY, "history": {}, "optimiser": "adamw"}, [1])
    with pytest.raises(MachineError, match="another worker could not write its part of a checkpoint"):
        saver.finish()
    saver.close()


def test_what_may_be_best_stays_until_the_next_checkpoint_is_whole(storage):
    """One of two workers writes step 2, which would make step 1 superfluous, and is killed before the other has."""
    for rank in (0, 1):
        save(storage, moved(peers=Peers(rank, 2, lambda t: t.fill_(7))), 1, keep=[1])
    save(storage, moved(peers=Peers(0, 2, lambda t: t.fill_(7))), 2, keep=[2])
    assert list(checkpoints.complete(storage)) == [1]
    assert checkpoints.newest(storage)["step"] == 1


def test_nothing_is_no_checkpoint(storage):
    assert checkpoints.newest(storage) is checkpoints.own(storage, IDENTITY) is None


def test_checkpoints_of_another_training_are_refused_by_name(storage):
    save(storage, moved(), 1)
    assert checkpoints.own(storage, IDENTITY) == checkpoints.newest(storage)
    with pytest.raises(
        InputError, match=r"are of another base model: remove them to begin anew, or name another folder"
    ):
        checkpoints.own(storage, IDENTITY | {"base model": "two"})


@pytest.mark.parametrize(
    "other",
    [{"a.lora_A": (2, 4), "b.lora_B": (3,)}, {"a.lora_A": (2, 3)}, {"a.lora_A": (2, 3), "c.lora_B": (3,)}],
)
def test_weights_of_another_shape_or_name_are_refused(storage, other):
    save(storage, moved(), 1)
    with pytest.raises(InputError, match="checkpoint of another model or method"):
        checkpoints.restore(storage, checkpoints.newest(storage), engine_of(other))


@pytest.mark.parametrize("text", ["{", "[]", '{"step": 1}', "\u00ff"])
def test_a_state_that_is_none_of_ours_is_refused_by_its_name(storage, text):
    save(storage, moved(), 1)
    (storage_folder(storage) / "step-000001" / "state.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"step-000001/state\.json is no state of a checkpoint"):
        checkpoints.own(storage, IDENTITY)
