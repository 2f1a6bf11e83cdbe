from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from metier.errors import InputError
from metier.training.model import FullMethod, LoraMethod, load_trainable, trainable
from metier.training.spread import SINGLE, Stored, TokenLoss, decoder_layers, hollow
from tests.fixtures.spread_training import EXAMPLES
from tests.fixtures.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"])


def filled(folder, method):
    """A hollow model with all that the files hold, as a worker of one would have it."""
    model, places = hollow(str(folder), method, 0, torch.float32)
    with Stored(str(folder)) as stored:
        for name, (module, key) in places.items():
            weight = getattr(module, key)
            weight.data = torch.cat([stored.part(name, 0, 3), stored.part(name, 3, weight.shape[0] - 3)])
    return model


@pytest.mark.parametrize("method", [LoraMethod(rank=4), FullMethod()], ids=["lora", "full"])
def test_a_model_filled_from_its_files_is_the_model(folder, method):
    from metier.training.packs import padded

    mine, whole = filled(folder, method), load_trainable(str(folder), method, 0, "cpu", dense=True)
    assert sorted(trainable(mine)) == sorted(trainable(whole))
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(mine.state_dict()[name], weight)
    batch = padded(EXAMPLES, 2, "cpu")
    assert float(TokenLoss(mine)(batch)) == float(TokenLoss(whole)(batch))
    assert mine.generation_config.to_dict() == whole.generation_config.to_dict()
    assert mine.config.name_or_path == whole.config.name_or_path


def test_a_hollow_model_holds_adapters_and_nothing_else(folder):
    model, places = hollow(str(folder), LoraMethod(rank=4), 0, torch.float32)
    held = {weight.untyped_storage().nbytes() for name, weight in model.named_parameters() if "lora_" not in name}
    assert held == {4}
    assert all(weight.is_contiguous() for weight in trainable(model).values())
    assert places["model.embed_tokens.weight"][0].weight is model.get_base_model().lm_head.weight  # they stay tied


def test_files_with_other_names_are_refused(folder, tmp_path):
    weights = load_file(folder / SINGLE)
    save_file({f"other.{name}": weight for name, weight in weights.items()}, tmp_path / SINGLE)
    with (
        Stored(str(tmp_path)) as stored,
        pytest.raises(InputError, match=r"model\.norm\.weight is missing.*set resources\.train\.engine to ddp"),
    ):
        stored.part("model.norm.weight", 0, 1)


def test_a_model_without_known_layers_is_refused():
    with pytest.raises(InputError, match="no decoder layers were found in a Sequential; set it to ddp"):
        decoder_layers(nn.Sequential(nn.Linear(2, 2)))
