from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from metier.errors import InputError, StepError
from metier.training import checkpoints, worker
from metier.training.course import Point, StepReport
from metier.training.engine import Peers
from metier.training.model import FullMethod, LoraMethod, QloraMethod
from metier.training.recipe import Recipe
from metier.training.storage import Storage
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.training_job import CHECKPOINTS, METHOD, make_job


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), ["The ledger limit is 100 units."])


def result(folder) -> dict:
    return json.loads((folder / worker.RESULT).read_text())


def test_a_job_leaves_the_best_adapter_with_its_tokenizer(base, tmp_path):
    from peft import PeftModel

    folder = make_job(tmp_path / "job", base)
    worker.work(folder, Peers(), "cpu")
    made = result(folder)
    assert made["best_step"] in [p["step"] for p in made["history"]["points"]]
    assert 0 < made["trainable"] < made["total"]
    names = {p.name for p in (folder / worker.ADAPTER).iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "chat_template.jinja"} <= names
    storage = Storage(str(folder / CHECKPOINTS))
    with checkpoints.opened(storage, checkpoints.complete(storage)[made["best_step"]], checkpoints.WEIGHTS) as kept:
        expected = sorted(float(tensor.sum()) for tensor in kept.values())
    saved = load_file(folder / worker.ADAPTER / "adapter_model.safetensors")
    assert sorted(float(v.sum()) for v in saved.values()) == expected
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder / worker.ADAPTER)


@pytest.mark.parametrize("packing", ["padded", "rows"])
def test_an_adapter_beside_4_bit_weights_loads_onto_the_full_base(base, tmp_path, packing):
    from peft import PeftModel

    folder = make_job(tmp_path / "job", base, method=QloraMethod(rank=4), packing=packing)
    worker.work(folder, Peers(), "cpu")
    made = result(folder)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    assert made["total"] == sum(p.numel() for p in plain.parameters()) + made["trainable"]
    assert made["fit"] is None
    PeftModel.from_pretrained(plain, folder / worker.ADAPTER)


@pytest.mark.parametrize("method", [LoraMethod(rank=4, dora=True), QloraMethod(rank=4, dora=True)])
def test_magnitudes_are_trained_kept_and_saved(base, tmp_path, method):
    from peft import PeftModel

    folder = make_job(tmp_path / "job", base, method=method, packing="rows")
    worker.work(folder, Peers(), "cpu")
    saved = load_file(folder / worker.ADAPTER / "adapter_model.safetensors")
    assert sum("lora_magnitude_vector" in name for name in saved) == 14
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    loaded = PeftModel.from_pretrained(plain, folder / worker.ADAPTER)
    moved = 0
    for module in loaded.modules():
        if hasattr(module, "lora_magnitude_vector"):
            magnitude = module.lora_magnitude_vector["default"].weight.detach()
            moved += not torch.allclose(magnitude, module.base_layer.weight.norm(dim=1), rtol=1e-4)
    assert moved == 14


def test_full_training_leaves_a_whole_model(base, tmp_path):
    folder = make_job(tmp_path / "job", base, method=FullMethod(), learning_rate=1e-3)
    worker.work(folder, Peers(), "cpu")
    made = result(folder)
    assert made["trainable"] == made["total"]
    trained = AutoModelForCausalLM.from_pretrained(folder / worker.ADAPTER, dtype=torch.float32)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    moved = [float((a - b).detach().abs().max()) for a, b in zip(trained.parameters(), plain.parameters(), strict=True)]
    assert min(moved) > 0
    history = made["history"]["losses"]
    assert history[-1][1] < history[0][1]


def test_a_whole_model_says_the_type_in_which_it_was_written(base, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "base_dtype", lambda device: torch.bfloat16)  # as on a GPU
    folder = make_job(tmp_path / "job", base, method=FullMethod(), epochs=1)
    worker.work(folder, Peers(), "cpu")
    told = json.loads((folder / worker.ADAPTER / "config.json").read_text())
    weights = load_file(folder / worker.ADAPTER / "model.safetensors")
    assert {str(weight.dtype) for weight in weights.values()} == {f"torch.{told['dtype']}"} == {"torch.bfloat16"}
    assert told["use_cache"] is True


@pytest.mark.parametrize("method", [FullMethod(), METHOD], ids=["full", "lora"])
def test_every_engine_leaves_what_one_whole_replica_leaves(base, tmp_path, method, monkeypatch):
    monkeypatch.setattr(
        torch.nn.functional, "linear", torch.nn.functional.linear
    )  # DeepSpeed puts its own there for good
    made = {}
    for engine in ("ddp", "fsdp2", "zero2", "zero3"):
        folder = make_job(tmp_path / engine, base, method=method, engine=engine, epochs=1)
        worker.work(folder, Peers(), "cpu")
        made[engine] = result(folder), load_file(next((folder / worker.ADAPTER).glob("*model.safetensors")))
    expected, weights = made["ddp"]
    for engine, (found, theirs) in made.items():
        losses = [row[1] for row in found["history"]["losses"]]
        assert losses == pytest.approx([row[1] for row in expected["history"]["losses"]], abs=1e-5), engine
        assert (found["trainable"], found["total"]) == (expected["trainable"], expected["total"]), engine
        assert theirs.keys() == weights.keys(), engine
        for name, weight in theirs.items():
            torch.testing.assert_close(weight, weights[name], msg=f"{engine} {name}", atol=1e-3, rtol=0)


def test_each_checkpoint_carries_validation_loss_and_dev_exam(base, tmp_path):
    folder = make_job(tmp_path / "job", base)
    worker.work(folder, Peers(), "cpu")
    for point in result(folder)["history"]["points"]:
        assert point["val_loss"] > 0
        assert 0 <= point["dev_score"] <= 1
        assert 0 <= point["refusal_share"] <= 1


def test_without_dev_questions_the_validation_loss_decides(base, tmp_path):
    folder = make_job(tmp_path / "job", base, questions=0)
    worker.work(folder, Peers(), "cpu")
    points = result(folder)["history"]["points"]
    assert {p["dev_score"] for p in points} == {None}
    assert result(folder)["best_step"] == min(points, key=lambda p: p["val_loss"])["step"]


def test_the_first_worker_tells_each_step_and_each_checkpoint(base, tmp_path):
    folder = make_job(tmp_path / "job", base)
    told: list[StepReport | Point] = []
    worker.work(folder, Peers(), "cpu", tell=told.append)
    history = result(folder)["history"]
    assert [one.step for one in told if isinstance(one, StepReport)] == [row[0] for row in history["losses"]]
    assert [one.step for one in told if isinstance(one, Point)] == [p["step"] for p in history["points"]]


def test_a_failure_of_ours_becomes_the_result(base, tmp_path):
    folder = make_job(tmp_path / "job", base, learning_rate=1.0, epochs=40, max_grad_norm=1000, patience=0)
    worker.work(folder, Peers(), "cpu")
    found = result(folder)
    assert found["error"] == "StepError"
    assert "lower train.learning_rate" in found["text"]


def test_where_others_wait_a_failure_is_raised_too_and_known_when_started_anew(base, tmp_path):
    folder = make_job(tmp_path / "job", base, learning_rate=1.0, epochs=40, max_grad_norm=1000, patience=0)
    with pytest.raises(StepError):
        worker.work(folder, Peers(1, 2), "cpu")
    found = result(folder)
    assert found["error"] == "StepError"
    worker.work(folder, Peers(1, 2), "cpu")
    assert result(folder) == found


def test_an_adapter_is_all_that_a_checkpoint_holds(base, tmp_path):
    """No more than the adapter in float32 and its two moments; the base is never written."""
    folder = make_job(tmp_path / "job", base)
    worker.work(folder, Peers(), "cpu")
    trained = result(folder)["trainable"]
    sizes = [
        file.stat().st_size
        for file in (folder / CHECKPOINTS / f"step-{result(folder)['history']['points'][-1]['step']:06d}").iterdir()
    ]
    assert 3 * 4 * trained <= sum(sizes) < 3 * 4 * trained + 64_000


def test_what_is_not_ours_is_not_hidden(tmp_path):
    (tmp_path / worker.JOB).write_text("{}")
    with pytest.raises(TypeError):
        worker.work(tmp_path, Peers(), "cpu")
    assert not (tmp_path / worker.RESULT).exists()


def test_a_job_goes_on_with_the_optimiser_of_its_checkpoints(base, tmp_path):
    folder = make_job(tmp_path / "job", base, epochs=1)
    worker.work(folder, Peers(), "cpu")
    made = checkpoints.newest(Storage(str(folder / CHECKPOINTS)))
    assert made["optimiser"] == "adamw"
    assert worker.reached(folder) == made["step"]
    recipe = Recipe()
    assert worker.going_on(recipe, None, "ddp", "here") == recipe
    for kind in ("adamw", "adamw_8bit"):
        assert worker.going_on(recipe, {"optimiser": kind}, "ddp", "here").optimiser == kind
    with pytest.raises(
        InputError, match="checkpoints in here hold moments of 8 bits, with which engine fsdp2 can't go on"
    ):
        worker.going_on(recipe, {"optimiser": "adamw_8bit"}, "fsdp2", "here")
