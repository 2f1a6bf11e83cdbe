"""The fast path on a real GPU in bfloat16: run with `pytest -m gpu tests/gpu`."""

from __future__ import annotations

import gc

import pytest
import torch
import torch.nn.functional as functional

from metier.training import card, elementwise, nf4
from metier.training.encoding import IGNORED, Example
from metier.training.engine import Peers, Replicated
from metier.training.fast_layers import accelerate
from metier.training.fit import predicted_bytes
from metier.training.gradient import Pieces, Share, backward
from metier.training.model import FullMethod, LoraMethod, QloraMethod, load_trainable, trainable
from metier.training.packs import alone, packed
from metier.training.rows import row_of
from metier.training.shape import Shape

pytestmark = pytest.mark.gpu
GPU = "cuda:0"


def apart(mine: torch.Tensor, exact: torch.Tensor) -> float:
    """Relative distance."""
    return float((mine.double().cpu() - exact.double().cpu()).norm() / exact.double().cpu().norm())


def normal(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.randn(shape, device=GPU).to(dtype)


def test_norm_rotation_and_gate_are_their_formulas():
    from metier.training import kernels

    torch.manual_seed(0)
    x, weight, grad = normal(300, 4096), normal(4096), normal(300, 4096)
    exact = x.double().cpu().requires_grad_()
    expected = functional.rms_norm(exact, (4096,), weight.double().cpu(), 1e-5)
    (by_x,) = torch.autograd.grad(expected, exact, grad.double().cpu())
    assert apart(kernels.rms_norm(x, weight, 1e-5), expected.detach()) < 5e-3
    assert apart(kernels.rms_norm_backward(grad, x, weight, 1e-5), by_x) < 5e-3

    for width in (128, 80):
        heads = normal(300, 32, width)
        angles = torch.rand(300, width // 2, device=GPU).repeat(1, 2)
        turned = kernels.rotate(heads, angles.cos(), angles.sin(), 1.0)
        plain = elementwise.rotate(heads.double().cpu(), angles.cos().double().cpu(), angles.sin().double().cpu())
        assert apart(turned, plain) < 5e-3
        assert apart(kernels.rotate(turned, angles.cos(), angles.sin(), -1.0), heads) < 8e-3

    gate, up, by_out = normal(100, 14336), normal(100, 14336), normal(100, 14336)
    expected = elementwise.swiglu_backward(*(t.double().cpu() for t in (by_out, gate, up)))
    for mine, theirs in zip(kernels.swiglu_backward(by_out, gate, up), expected, strict=True):
        assert apart(mine, theirs) < 5e-3


def test_cross_entropy_over_a_large_vocabulary():
    from metier.training import kernels

    torch.manual_seed(0)
    logits, targets = normal(64, 128256) * 3, torch.randint(128256, (64,), device=GPU)
    exact = logits.double().requires_grad_()
    losses = functional.cross_entropy(exact, targets, reduction="none")
    (by_logits,) = torch.autograd.grad(losses.sum(), exact)
    assert apart(kernels.cross_entropy(logits, targets), losses.detach()) < 1e-5
    assert apart(logits, by_logits) < 5e-3


def test_four_bits_are_unpacked_as_their_formula_says_and_as_well_as_by_bitsandbytes():
    from metier.training import kernels

    torch.manual_seed(0)
    weight = normal(4096, 1024) * 0.02
    packed, absmax, low, step = nf4.quantise(weight)
    table = torch.tensor(nf4.CODES, device=GPU)
    out = torch.full_like(weight, float("nan"))
    kernels.dequantise(packed, absmax, low, step, table, nf4.GROUP, out)
    assert apart(out, nf4.dequantised(packed, absmax, low, step, table).view_as(out)) < 3e-3
    bitsandbytes = pytest.importorskip("bitsandbytes")
    theirs = bitsandbytes.functional.dequantize_4bit(
        *bitsandbytes.functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    )
    assert apart(out, weight) < apart(theirs, weight) * 1.005


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six hundred thousand weights in four layers, with fewer key heads than query heads."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=1024, hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4,
                         num_key_value_heads=2, head_dim=64, max_position_embeddings=512, initializer_range=0.05)  # fmt: skip
    made = tmp_path_factory.mktemp("model")
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(made)  # so that both devices round the same to 4 bits
    return str(made)


def examples() -> list[Example]:
    torch.manual_seed(3)
    begun = torch.randint(1024, (60,)).tolist()
    rests = [torch.randint(1024, (n,)).tolist() for n in (17, 5, 30, 64, 100, 3)]
    alike = [Example(begun + rest, [IGNORED] * 61 + rest[1:]) for rest in rests[:3]]
    return alike + [Example(rest, [IGNORED, *rest[1:]]) for rest in rests[3:]]


def gradient(model, packs, device: str, dtype: torch.dtype | None, rows: bool, tokens: int = 4096):
    arithmetic = lambda: torch.autocast(device.split(":")[0], dtype=dtype, enabled=dtype is not None)  # noqa: E731
    weights = list(trainable(model).values())
    engine = Replicated(model, torch.optim.AdamW(weights), device, Peers())
    pieces = Pieces(tokens, 0, device, arithmetic, rows)
    engine.forget()
    loss = float(backward(engine, packs, Share.of(packs, pieces, engine), pieces))
    return loss, torch.cat([w.grad.reshape(-1).float().cpu() for w in weights])


def loaded(folder, method, device: str, dense: bool = False):
    model = load_trainable(folder, method, 0, device, dense=dense).train()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in trainable(model).items():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return model


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    "method", [LoraMethod(rank=8), QloraMethod(rank=8), FullMethod()], ids=["lora", "qlora", "full"]
)
def test_the_fast_path_is_as_near_to_float32_as_the_plain_one(folder, method, shared):
    exact_loss, exact = gradient(loaded(folder, method, "cpu"), alone(examples()), "cpu", None, rows=False)
    model = loaded(folder, method, GPU)
    plain_loss, plain = gradient(model, alone(examples()), GPU, torch.bfloat16, rows=False)
    accelerate(model)
    packs = packed(examples(), 1000) if shared else alone(examples())
    assert any(p.shared for p in packs) is shared
    fast_loss, fast = gradient(model, packs, GPU, torch.bfloat16, rows=True)
    assert abs(fast_loss - exact_loss) < max(2 * abs(plain_loss - exact_loss), 2e-3 * exact_loss)
    assert apart(fast, exact) < 1.3 * apart(plain, exact) < 0.1
    again_loss, _ = gradient(model, packs, GPU, torch.bfloat16, rows=True)
    assert again_loss == pytest.approx(fast_loss, rel=1e-4)


def test_unpacked_weights_compute_the_same_as_packed_ones(folder):
    both = []
    for dense in (False, True):
        model = loaded(folder, QloraMethod(rank=8), GPU, dense)
        accelerate(model)
        both.append(gradient(model, alone(examples()), GPU, torch.bfloat16, rows=True))
    assert both[0][0] == pytest.approx(both[1][0], rel=1e-5)
    assert apart(both[0][1], both[1][1]) < 1e-3


def test_logits_in_a_row_are_those_of_each_text_alone(folder):
    texts = alone(examples())

    def by_themselves(model, device: str) -> torch.Tensor:
        ids = [torch.tensor([e.ids], device=device) for p in texts for e in p.examples]
        return torch.cat([model(input_ids=one).logits[0].float() for one in ids])

    row = row_of(texts, GPU)
    del row["labels"]
    with torch.no_grad():
        exact = by_themselves(loaded(folder, LoraMethod(rank=8), "cpu").eval(), "cpu")
        model = loaded(folder, LoraMethod(rank=8), GPU).eval()
        plain = by_themselves(model, GPU)
        accelerate(model)
        together = model(**row, use_cache=False).logits[0].float()
    assert apart(together, exact) < 1.2 * apart(plain, exact) < 0.03


def test_recomputed_layers_have_the_same_gradient(folder):
    model = loaded(folder, LoraMethod(rank=8), GPU)
    accelerate(model)
    loss, expected = gradient(model, alone(examples()), GPU, torch.bfloat16, rows=True)
    card.recompute(model, 3)
    again, got = gradient(model, alone(examples()), GPU, torch.bfloat16, rows=True)
    assert again == pytest.approx(loss, rel=1e-5)
    assert apart(got, expected) < 2e-3


def test_a_card_is_measured():
    found = card.measured(GPU)
    assert 1e12 < found.flops < 1e16
    assert 1e11 < found.bandwidth < 2e13
    assert 0 < found.memory <= torch.cuda.get_device_properties(0).total_memory


@pytest.mark.parametrize("recomputed", [0, 2, 4])
def test_what_layers_keep_is_what_the_prediction_counts(tmp_path, recomputed):
    """Four wide layers, so that activations outweigh all else."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=1024, hidden_size=2048, intermediate_size=5632, num_hidden_layers=4, num_attention_heads=16,
                         num_key_value_heads=4, max_position_embeddings=4096)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    method, texts = LoraMethod(), alone([Example(ids := torch.randint(1024, (1024,)).tolist(), ids)] * 16)
    gc.collect()  # other tests' engines, which would count as this model's
    model = loaded(str(tmp_path), method, GPU)
    accelerate(model)
    card.recompute(model, recomputed)
    gradient(model, texts[:1], GPU, torch.bfloat16, rows=True)  # kernels, and the gradients' own room
    torch.cuda.reset_peak_memory_stats()
    gradient(model, texts, GPU, torch.bfloat16, rows=True, tokens=1 << 14)
    measured = torch.cuda.max_memory_allocated()
    assert predicted_bytes(Shape.of(str(tmp_path)), method, 1 << 14, recomputed) == pytest.approx(measured, rel=0.1)
