from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from torch import nn

from metier.training.card import recompute
from metier.training.encoding import IGNORED, Example
from metier.training.engine import Peers, Replicated
from metier.training.fast_layers import accelerate
from metier.training.gradient import Pieces, Share, arithmetic, backward
from metier.training.model import FullMethod, LoraMethod, QloraMethod, load_trainable, trainable
from metier.training.packs import alone, packed
from metier.training.rows import row_of
from metier.training.token_loss import loss_sum
from tests.fixtures.tiny_model import make_tiny_model

BEGUN = [1, *range(40, 60)]
EXAMPLES = [
    *(
        Example(BEGUN + rest, [IGNORED] * (len(BEGUN) + 1) + rest[1:])
        for rest in ([70, 71, 72, 2], [80, 2], [90, 91, 2])
    ),
    Example([1, 30, 31, 2], [IGNORED, IGNORED, 31, 2]),
    Example([1, 60, 61, 62, 63, 64, 65, 2], [IGNORED] * 4 + [63, 64, 65, 2]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"]))


def load(folder, method):
    """With adapters that are no longer zero, so that both factors have gradients."""
    model = load_trainable(folder, method, 0, "cpu", dense=False)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in trainable(model).items():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return model.train()


def gradient(model, packs, rows: bool, context=contextlib.nullcontext):
    pieces = Pieces(tokens=1000, pad=2, device="cpu", arithmetic=context, rows=rows)
    weights = trainable(model)
    for weight in weights.values():
        weight.grad = None
    engine = Replicated(model, torch.optim.SGD(list(weights.values()), lr=0.0), "cpu", Peers())
    loss = float(backward(engine, packs, Share.of(packs, pieces, engine), pieces))
    return loss, {name: weight.grad.clone() for name, weight in weights.items()}


METHODS = {
    "lora": LoraMethod(rank=4),
    "rslora": LoraMethod(rank=4, rslora=True, alpha=3),
    "few targets": LoraMethod(rank=4, targets=("q_proj", "v_proj", "down_proj")),
    "output too": LoraMethod(rank=4, targets=("q_proj", "lm_head")),
    "qlora": QloraMethod(rank=4),
    "dora": LoraMethod(rank=4, dora=True),
    "qlora with dora": QloraMethod(rank=4, dora=True),
    "qlora with dora and dropout": QloraMethod(rank=4, dora=True, dropout=1e-9),
    "full": FullMethod(),
}


@pytest.mark.parametrize("packs", [alone(EXAMPLES), packed(EXAMPLES, 100)], ids=["apart", "shared"])
@pytest.mark.parametrize("name", METHODS)
def test_the_fast_path_has_the_gradient_of_plain_padded_training(folder, name, packs):
    model = load(folder, METHODS[name])
    loss, expected = gradient(model, alone(EXAMPLES), rows=False)
    accelerate(model)
    fast, got = gradient(model, packs, rows=True)
    assert fast == pytest.approx(loss, rel=1e-5)
    assert sorted(got) == sorted(expected)
    for key, mine in got.items():
        assert float(mine.abs().sum()) > 0, key
        torch.testing.assert_close(mine, expected[key], rtol=1e-4, atol=5e-6)


@pytest.mark.parametrize("name", ["lora", "output too", "qlora", "dora"])
def test_rows_in_bfloat16_have_nearly_the_gradient_of_float32_on_a_cpu(folder, name):
    model = load(folder, METHODS[name])
    accelerate(model)
    loss, exact = gradient(model, packed(EXAMPLES, 100), rows=True)
    lowered, got = gradient(model, packed(EXAMPLES, 100), rows=True, context=arithmetic("bfloat16", "cpu"))
    assert lowered == pytest.approx(loss, rel=0.01)
    for key, mine in got.items():
        assert mine.dtype == torch.float32
        assert (mine - exact[key]).norm() < 0.2 * exact[key].norm(), key


def test_all_kinds_of_layers_are_replaced(folder):
    model = load(folder, LoraMethod(rank=4))
    accelerate(model)
    replaced = {type(m).__name__ for m in model.modules() if "forward" in vars(m)}
    assert replaced == {"LlamaRMSNorm", "LlamaAttention", "LlamaMLP", "Linear"}


@pytest.mark.parametrize(
    "method",
    [LoraMethod(rank=4, dropout=0.5), LoraMethod(rank=4, dora=True), QloraMethod(rank=4, dora=True), FullMethod()],
    ids=["dropout", "dora", "qlora with dora", "full"],
)
def test_what_is_more_than_a_plain_adapter_stays_as_it_is(folder, method):
    model = load(folder, method)
    accelerate(model)
    assert not {"LlamaMLP", "Linear"} & {type(m).__name__ for m in model.modules() if "forward" in vars(m)}


def test_attention_with_dropout_stays_as_it_is(folder):
    model = load(folder, LoraMethod(rank=4))
    for layer in model.get_base_model().model.layers:
        layer.self_attn.attention_dropout = 0.1
    accelerate(model)
    assert "LlamaAttention" not in {type(m).__name__ for m in model.modules() if "forward" in vars(m)}


def test_layers_that_are_computed_twice_have_the_same_gradient(folder):
    model = load(folder, LoraMethod(rank=4))
    accelerate(model)
    loss, expected = gradient(model, alone(EXAMPLES), rows=True)
    for layers in (1, 2):
        recompute(model, layers)
        again, got = gradient(model, alone(EXAMPLES), rows=True)
        assert again == loss
        for key, mine in got.items():
            torch.testing.assert_close(mine, expected[key])


def test_a_recomputed_layer_keeps_its_input_alone(folder):
    """What is saved for the backward pass is counted as autograd packs it."""

    def saved(model) -> int:
        held: dict[int, int] = {}

        def note(tensor):
            storage = tensor.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss_sum(model, row_of(alone(EXAMPLES * 8), "cpu"))
        return sum(held.values())

    model = load(folder, LoraMethod(rank=4))
    accelerate(model)
    whole = saved(model)
    recompute(model, 2)
    assert saved(model) < whole / 3


def test_a_model_with_biases_and_another_family(tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(vocab_size=128, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False)  # fmt: skip
    base = Qwen2ForCausalLM(config)
    for part in base.modules():
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.normal_(part.bias)
    plain = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)).train()
    fast = copy.deepcopy(plain)
    accelerate(fast)
    assert "Qwen2Attention" in {type(m).__name__ for m in fast.modules() if "forward" in vars(m)}
    loss, expected = gradient(plain, alone(EXAMPLES), rows=False)
    mine, got = gradient(fast, alone(EXAMPLES), rows=True)
    assert mine == pytest.approx(loss, rel=1e-5)
    for key, value in got.items():
        torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=1e-6)


def test_generation_goes_on_as_before(folder):
    model = load(folder, LoraMethod(rank=4)).eval()
    ids = torch.tensor([[1, 30, 31], [2, 2, 1]])
    settings = {
        "attention_mask": torch.tensor([[1, 1, 1], [0, 0, 1]]),
        "max_new_tokens": 8,
        "do_sample": False,
        "pad_token_id": 2,
    }
    expected = model.generate(input_ids=ids, **settings)
    accelerate(model)
    assert torch.equal(model.generate(input_ids=ids, **settings), expected)
