from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoTokenizer

from metier.errors import InputError
from metier.lineage.source import PathSource
from metier.models import ModelSource, resolve
from metier.stages import merge
from metier.training.model import load_base
from tests.fixtures.stage_alone import run_alone
from tests.fixtures.tiny_adapter import make_tiny_adapter
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.training_job import tiny_questions


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("base"), ["The limit is 100 units."])


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    """As the train stage leaves it: the folder `adapter` inside its output."""
    folder = tmp_path_factory.mktemp("train")
    make_tiny_adapter(base, folder / "adapter")
    return folder


@pytest.mark.parametrize("inside", ["", "adapter"])
def test_the_adapter_may_be_trains_output_or_a_plain_folder(base, adapter, tmp_path, inside):
    made = run_alone(
        merge.STAGE, merge.Config(), tmp_path, adapter=PathSource(str(adapter / inside)), base=ModelSource(str(base))
    )
    numbers = made.json("merge.json")
    assert numbers["from_adapter"] < 1e-4 < numbers["from_base"]
    assert numbers["layers"] == 14
    assert resolve(made.location) == str(made.path("model"))


def test_the_dev_half_is_sat_before_and_after_as_training_sat_it(base, adapter, tmp_path):
    given = {"method": {"method": "lora"}, "seed": 4, "passages": 3}  # and tune's winner replaced them
    (adapter / "manifest.json").write_text(json.dumps({"stage": "train", "config": given}))
    (adapter / "verdict.json").write_text(json.dumps({"text": "", "method": "qlora", "seed": 3, "passages": 3}))
    asked = [*tiny_questions(3), *tiny_questions(5, "final")]
    given = {"adapter": PathSource(str(adapter)), "base": ModelSource(str(base)), "questions": asked}
    made = run_alone(merge.STAGE, merge.Config(max_tokens=4), tmp_path, **given)
    for name in ("manifest.json", "verdict.json"):
        (adapter / name).unlink()
    told = made.json("merge.json")
    assert told["method"] == "qlora"
    assert [(row["form"], row["questions"]) for row in told["exam"]] == [
        ("beside_rounded", 3), ("beside_full", 3), ("merged", 3)
    ]  # fmt: skip
    assert told["text"].startswith("Merging ")


def test_no_question_is_asked_where_none_is_wanted(base, adapter, tmp_path):
    given = {"adapter": PathSource(str(adapter)), "base": ModelSource(str(base)), "questions": tiny_questions(3)}
    told = run_alone(merge.STAGE, merge.Config(exam_questions=0), tmp_path, **given).json("merge.json")
    assert (told["exam"], told["method"]) == ([], "")


def test_a_whole_model_as_full_training_leaves_it_is_taken_over(base, tmp_path):
    trained = load_base(str(base), "cpu")
    with torch.no_grad():
        trained.model.norm.weight.mul_(1.5)
    trained.save_pretrained(tmp_path / "train" / "adapter")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "train" / "adapter")
    given = {"adapter": PathSource(str(tmp_path / "train")), "base": ModelSource(str(base))}
    made = run_alone(merge.STAGE, merge.Config(), tmp_path / "merged", **given)
    numbers = made.json("merge.json")
    assert (numbers["from_adapter"], numbers["layers"]) == (0, 0)
    kept = load_base(resolve(made.location), "cpu")
    assert torch.equal(kept.model.norm.weight, trained.model.norm.weight)


def test_the_same_adapter_gives_the_same_artifact(base, adapter, tmp_path):
    given = {"adapter": PathSource(str(adapter)), "base": ModelSource(str(base))}
    one = run_alone(merge.STAGE, merge.Config(), tmp_path / "one", **given)
    two = run_alone(merge.STAGE, merge.Config(), tmp_path / "two", **given)
    assert one.fingerprint == two.fingerprint


def test_a_folder_without_an_adapter_is_refused(base, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no adapter_config\.json; give the output of train"):
        run_alone(
            merge.STAGE,
            merge.Config(),
            tmp_path,
            adapter=PathSource(str(tmp_path / "empty")),
            base=ModelSource(str(base)),
        )
