"""The loss of a batch. Logits are computed only where the loss looks: with a vocabulary of 49,000 and short answers that
is most of the work saved.
"""

from __future__ import annotations

from typing import Any

from metier.training.encoding import IGNORED


def hidden_states(model: Any, batch: dict[str, Any]) -> Any:
    """What the decoder makes of a batch, before the output layer: (rows, tokens, width)."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    inputs = {name: part for name, part in batch.items() if name != "labels"}
    return causal.get_decoder()(**inputs, use_cache=False).last_hidden_state


def loss_sum(model: Any, batch: dict[str, Any]) -> Any:
    """Summed cross entropy over the labels of a batch; logits are made at those places alone.

    Equal to the loss over all logits: a token's logits depend on its own hidden state only.
    """
    import torch
    import torch.nn.functional as functional

    hidden = hidden_states(model, batch)
    wanted = batch["labels"][:, 1:]
    looked_at = wanted != IGNORED
    head = (model.get_base_model() if hasattr(model, "get_base_model") else model).get_output_embeddings()
    if "segments" not in batch or type(head) is not torch.nn.Linear or head.bias is not None:
        return functional.cross_entropy(head(hidden[:, :-1][looked_at]).float(), wanted[looked_at], reduction="sum")
    from metier.training.head_loss import head_loss

    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):  # weights in float32 leave the residual stream in float32
        hidden = hidden.to(torch.get_autocast_dtype(kind))
    return head_loss(hidden[:, :-1][looked_at], head.weight, wanted[looked_at])
