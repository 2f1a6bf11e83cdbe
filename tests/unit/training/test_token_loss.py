from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional

from metier.training.encoding import IGNORED, Example
from metier.training.fast_layers import accelerate
from metier.training.model import FullMethod, LoraMethod, load_base, with_adapter
from metier.training.packs import alone, packed, padded
from metier.training.rows import row_of
from metier.training.spread import hollow
from metier.training.token_loss import hidden_states, loss_sum
from tests.fixtures.tiny_model import make_tiny_model

EXAMPLES = alone([
    Example([1, 40, 41, 42, 2], [IGNORED, IGNORED, 41, 42, 2]),
    Example([1, 70, 71, 2], [1, IGNORED, 71, 2]),
])  # fmt: skip
START = [1, *range(50, 62)]
ALIKE = [Example([*START, 20 + i, 30 + i, 2], [IGNORED] * 13 + [20 + i, 30 + i, 2]) for i in range(3)]
CHANGED = {  # what each does to its logits
    "Granite": {"logits_scaling": 6.0},
    "Cohere": {"logit_scale": 0.3},
    "Gemma2": {"final_logit_softcapping": 2.0, "attn_logit_softcapping": 0.5, "query_pre_attn_scalar": 16},
    "NanoChat": {"final_logit_softcapping": 2.0},  # the same as Gemma 2, and rows can have its attention
}


def tiny(kind: str, folder) -> str:
    """A random model of a kind, its weights so large that changed logits are others."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        **CHANGED[kind],
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.mul_(8)
    model.save_pretrained(folder)
    return str(folder)


def own_loss(model, batch):
    """By all logits that the model gives."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return functional.cross_entropy(
        logits[:, :-1].reshape(-1, logits.shape[-1]),
        batch["labels"][:, 1:].reshape(-1),
        ignore_index=IGNORED,
        reduction="sum",
    )


def gradient(model, loss):
    return torch.autograd.grad(loss, list(model.parameters()))


def test_logits_where_the_loss_looks_give_the_loss_over_all_logits(tmp_path):
    model = with_adapter(load_base(str(make_tiny_model(tmp_path, ["some text"])), "cpu"), LoraMethod(rank=4), seed=0)
    batch = padded(EXAMPLES, pad=2, device="cpu")
    torch.testing.assert_close(loss_sum(model, batch), own_loss(model, batch))


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("Granite", False), ("Granite", True), ("Cohere", False), ("Cohere", True), ("Gemma2", False), ("NanoChat", True)],
)
def test_a_model_that_changes_its_logits_has_its_own_loss(kind, rows, tmp_path):
    model = load_base(tiny(kind, tmp_path), "cpu")
    expected = own_loss(model, padded(EXAMPLES, pad=0, device="cpu"))
    wanted = gradient(model, expected)
    if rows:
        accelerate(model)
    mine = loss_sum(model, row_of(EXAMPLES, "cpu") if rows else padded(EXAMPLES, pad=0, device="cpu"))
    torch.testing.assert_close(mine, expected)
    torch.testing.assert_close(gradient(model, mine), wanted, rtol=1e-3, atol=1e-4)


def test_a_cap_of_the_attention_is_kept(tmp_path):
    import transformers

    folder, batch = tiny("Gemma2", tmp_path), padded(EXAMPLES, pad=0, device="cpu")

    def states(model):
        return hidden_states(model, batch)[batch["attention_mask"].bool()].detach()

    eager, without = (
        states(transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation=kind))
        for kind in ("eager", "sdpa")
    )
    assert float((without - eager).norm() / eager.norm()) > 0.05  # what torch's own attention leaves out
    torch.testing.assert_close(states(load_base(folder, "cpu")), eager)
    spread, _ = hollow(folder, FullMethod(), 0, torch.float32)
    spread.load_state_dict(load_base(folder, "cpu").state_dict(), assign=True)
    torch.testing.assert_close(states(spread), eager)


def test_examples_that_share_their_beginning_do_not_see_each_other_under_a_cap(tmp_path):
    """Its attention adds masks, and what packs have is True and False."""
    model = load_base(tiny("Gemma2", tmp_path), "cpu")
    together = packed(ALIKE, 64)
    assert [pack.shared for pack in together] == [12]
    apart = loss_sum(model, padded(alone(ALIKE), pad=0, device="cpu"))
    torch.testing.assert_close(loss_sum(model, padded(together, pad=0, device="cpu")), apart)
