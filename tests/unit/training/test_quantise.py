from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from metier.errors import MachineError, StepError
from metier.inference.engines import TransformersEngine
from metier.inference.protocol import Request
from metier.inference.transformers_engine import open_transformers
from metier.records import Message
from metier.training import quantise as module
from metier.training.quantise import VARIABLE, find_python, quantise
from tests.fixtures.tiny_model import make_tiny_model

ROWS = [[1, *range(10 + i, 40 + i), 2] for i in range(12)]


def silent(done: int, total: int, what: str) -> None:
    return None


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), ["The limit is 100 units."])


@pytest.fixture(scope="module", params=["w8a8", "w4a16"])
def quantised(request, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    told: list[tuple[int, int, str]] = []
    made = quantise(model, folder, request.param, ROWS, 0, lambda *said: told.append(said))
    return request.param, folder, made, told


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_the_format_stands_in_the_config_and_the_output_layer_is_left_alone(quantised):
    form, folder, made, _ = quantised
    described = json.loads((folder / "config.json").read_text())["quantization_config"]
    group = described["config_groups"]["group_0"]
    assert described["ignore"] == ["lm_head"]
    assert described["quant_method"] == "compressed-tensors"
    assert group["weights"]["num_bits"] == {"w8a8": 8, "w4a16": 4}[form]
    assert group["weights"]["group_size"] == {"w8a8": None, "w4a16": 64}[form]
    assert made == {
        "w8a8": {"method": "rounding", "group_size": 0, "layers": 14},
        "w4a16": {"method": "GPTQ", "group_size": 64, "layers": 14},
    }[form]  # fmt: skip


def test_the_folder_is_complete_and_names_no_path(quantised, model):
    _, folder, _, _ = quantised
    names = {p.name for p in folder.iterdir()}
    assert names == {p.name for p in model.iterdir()}
    assert not any(str(model) in p.read_text() for p in folder.iterdir() if p.suffix in (".json", ".jinja"))
    assert len(weights(folder)) < 0.6 * len(weights(model))


def test_the_quantised_model_answers_nearly_as_the_whole_one_does(quantised, model):
    form, folder, _, _ = quantised
    ids = torch.tensor([ROWS[0]])
    whole, small = (
        AutoModelForCausalLM.from_pretrained(f, dtype=torch.float32)(ids).logits.detach() for f in (model, folder)
    )
    similarity = torch.nn.functional.cosine_similarity(whole, small, dim=-1).min()
    assert {"w8a8": 0.999, "w4a16": 0.9}[form] < similarity < 1 - 1e-7


def test_our_own_engine_serves_it(quantised):
    _, folder, _, _ = quantised
    engine = open_transformers(str(folder), TransformersEngine(dtype="float32"))
    request = Request(id="a", messages=(Message(role="user", content="What is the limit?"),), max_tokens=4)
    (response,) = engine.generate([request])
    assert response.error == ""
    assert response.completion_tokens > 0


def test_gptq_reports_each_layer(quantised):
    form, _, _, told = quantised
    if form == "w4a16":
        assert [(done, total) for done, total, _ in told] == [(i, 14) for i in range(1, 15)]


def test_the_same_model_and_rows_give_the_same_bytes(quantised, model, tmp_path):
    form, folder, _, _ = quantised
    quantise(model, tmp_path, form, ROWS, 0, silent)
    assert weights(tmp_path) == weights(folder)


def test_a_worker_that_fails_leaves_its_last_words(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(StepError, match=r"quantisation ended with code 1: .*\w"):
        quantise(tmp_path, tmp_path / "out", "w8a8", ROWS, 0, silent)


def test_the_environment_lies_beside_the_running_one(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert find_python() is None
    python = tmp_path / ".venv-quantise" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert find_python() == python


def test_a_variable_names_another_environment(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, sys.executable)
    assert find_python() == Path(sys.executable)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone"))
    assert find_python() is None


def test_without_the_environment_the_remedy_is_named(monkeypatch, tmp_path, model):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(MachineError, match="make quantise-env"):
        quantise(model, tmp_path, "w8a8", ROWS, 0, silent)


def test_the_worker_dies_with_the_process_that_started_it(tmp_path):
    """A stand-in calls what the real worker calls first, then sleeps; its parent is killed and can't tell it to stop."""
    child = f"""
import importlib.util, os, time
spec = importlib.util.spec_from_file_location("worker", {str(module.WORKER)!r})
worker = importlib.util.module_from_spec(spec); spec.loader.exec_module(worker)
worker.die_with(os.getppid()); print(os.getpid(), flush=True); time.sleep(60)
"""
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
