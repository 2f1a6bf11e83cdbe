from __future__ import annotations

import pytest

from metier.errors import MachineError
from metier.inference.transformers_engine import load_tokenizer
from metier.models import ModelSource
from metier.stages import quantise
from metier.training.quantise import VARIABLE
from tests.fixtures.stage_alone import run_alone
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.training_job import tiny_dialogues


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    texts = [m.content for d in tiny_dialogues(8) for m in d.messages]
    return make_tiny_model(tmp_path_factory.mktemp("model"), texts)


@pytest.fixture
def engine_says(monkeypatch):
    """What this machine's engine executes is its own matter: the stage is told."""

    def set_(executes: bool, why: str) -> None:
        monkeypatch.setattr(quantise, "can_execute", lambda form: (executes, f"{form}: {why}"))

    return set_


def run(folder, model, **config):
    return run_alone(
        quantise.STAGE, quantise.Config(**config), folder, model=ModelSource(str(model)), dialogues=tiny_dialogues(12)
    )


@pytest.mark.parametrize("form", ["w8a8", "w4a16"])
def test_an_executable_format_gives_a_smaller_model_and_says_how(engine_says, model, tmp_path, form):
    engine_says(True, "it ran")
    made = run(tmp_path, model, format=form, calibration_dialogues=4)
    said = made.json("quantise.json")
    assert (said["format"], said["executable"], said["why"]) == (form, True, f"{form}: it ran")
    assert 0 < said["bytes_after"] < 0.6 * said["bytes_before"]
    assert said["method"] == {"w8a8": "rounding", "w4a16": "GPTQ"}[form]
    assert made.path("model/model.safetensors").exists()


def test_a_format_that_the_engine_can_not_execute_leaves_a_reason_and_no_model(engine_says, model, tmp_path):
    engine_says(False, "no kernel")
    made = run(tmp_path, model, format="w4a16")
    said = made.json("quantise.json")
    assert (said["executable"], said["why"], said["bytes_after"]) == (False, "w4a16: no kernel", 0)
    assert [f.path for f in made.manifest.files] == ["quantise.json"]


def test_without_its_environment_the_stage_names_the_remedy(engine_says, model, tmp_path, monkeypatch):
    engine_says(True, "it would run")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(MachineError, match="make quantise-env"):
        run(tmp_path, model)


def test_calibration_reads_a_seeded_choice_as_the_chat_template_writes_it(model):
    tokenizer = load_tokenizer(str(model))
    dialogues = tiny_dialogues(12)

    def rows(**config):
        return quantise.calibration_rows(dialogues, str(model), quantise.Config(**config))

    assert rows(calibration_dialogues=3) == rows(calibration_dialogues=3)
    assert rows(calibration_dialogues=3) != rows(calibration_dialogues=3, seed=1)
    assert len(rows(calibration_dialogues=3)) == 3
    assert {len(ids) for ids in rows(calibration_tokens=16)} == {16}
    assert tokenizer.decode(rows(calibration_dialogues=1)[0]).startswith("<|im_start|>system\n")


def test_the_order_of_the_dialogues_changes_nothing(model):
    config = quantise.Config(calibration_dialogues=3)
    forward, backward = tiny_dialogues(12), tiny_dialogues(12)[::-1]
    assert quantise.calibration_rows(forward, str(model), config) == quantise.calibration_rows(
        backward, str(model), config
    )
