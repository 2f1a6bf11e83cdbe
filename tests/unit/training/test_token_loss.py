from __future__ import annotations

import torch
import torch.nn.functional as functional

from metier.training.encoding import IGNORED, Example
from metier.training.model import LoraMethod, load_base, with_adapter
from metier.training.packs import alone, padded
from metier.training.token_loss import loss_sum
from tests.fixtures.tiny_model import make_tiny_model

EXAMPLES = alone([
    Example([1, 40, 41, 42, 2], [IGNORED, IGNORED, 41, 42, 2]),
    Example([1, 70, 71, 2], [1, IGNORED, 71, 2]),
])  # fmt: skip


def test_logits_where_the_loss_looks_give_the_loss_over_all_logits(tmp_path):
    model = with_adapter(load_base(str(make_tiny_model(tmp_path, ["some text"])), "cpu"), LoraMethod(rank=4), seed=0)
    batch = padded(EXAMPLES, pad=2, device="cpu")
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    plain = functional.cross_entropy(
        logits[:, :-1].reshape(-1, logits.shape[-1]),
        batch["labels"][:, 1:].reshape(-1),
        ignore_index=IGNORED,
        reduction="sum",
    )
    torch.testing.assert_close(loss_sum(model, batch), plain)
