from __future__ import annotations

import pytest
import torch
from transformers import AutoTokenizer

from metier.errors import InputError
from metier.lineage.source import PathSource
from metier.models import ModelSource, resolve
from metier.stages import merge
from metier.training.model import LoraMethod, load_base, trainable, with_adapter
from tests.fixtures.stage_alone import run_alone
from tests.fixtures.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("base"), ["The limit is 100 units."])


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    """As the train stage leaves it: the folder `adapter` inside its output."""
    folder = tmp_path_factory.mktemp("train")
    model = with_adapter(load_base(str(base), "cpu"), LoraMethod(rank=4), seed=0)
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.normal_(std=0.1)
    model.save_pretrained(folder / "adapter")
    AutoTokenizer.from_pretrained(base).save_pretrained(folder / "adapter")
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
