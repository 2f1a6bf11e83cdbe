"""The loss of a batch. Logits are computed only where the loss looks: with a vocabulary of 49,000 and short answers that
is most of the work saved.

What a model does to its logits behind the output layer is done here again, as far as it is known; whether that is all of it
a probe tells before training (probes.py).
"""

from __future__ import annotations

from typing import Any

from metier.training.encoding import IGNORED


def causal_of(model: Any) -> Any:
    """The language model itself, without what holds its adapters."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def inputs_of(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """What a forward of the model or of its decoder is given of a batch."""
    import torch

    inputs = {name: part for name, part in batch.items() if name != "labels"} | {"use_cache": False}
    mask = inputs["attention_mask"]
    eager = causal_of(model).get_decoder().config._attn_implementation == "eager"
    if eager and mask.ndim == 4 and mask.dtype == torch.bool:  # it adds masks to its scores: True would be 1
        unseen = torch.finfo(torch.float32).min
        inputs["attention_mask"] = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, unseen)
    return inputs


def hidden_states(model: Any, batch: dict[str, Any]) -> Any:
    """What the decoder makes of a batch, before the output layer: (rows, tokens, width)."""
    return causal_of(model).get_decoder()(**inputs_of(model, batch)).last_hidden_state


def loss_sum(model: Any, batch: dict[str, Any]) -> Any:
    """Summed cross entropy over the labels of a batch; logits are made at those places alone.

    Equal to the loss over all logits: a token's logits depend on its own hidden state only.
    """
    import torch
    import torch.nn.functional as functional

    causal = causal_of(model)
    wanted = batch["labels"][:, 1:]
    looked_at = wanted != IGNORED
    hidden, targets = hidden_states(model, batch)[:, :-1][looked_at], wanted[looked_at]
    scale, cap, head = _scale(causal), _cap(causal), causal.get_output_embeddings()
    if scale != 1:
        hidden = hidden * scale  # a scale of the logits: the output layer is linear
    if "segments" not in batch or cap or type(head) is not torch.nn.Linear or head.bias is not None:
        logits = head(hidden).float()
        if cap:
            logits = torch.tanh(logits / cap) * cap
        return functional.cross_entropy(logits, targets, reduction="sum")
    from metier.training.head_loss import head_loss

    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):  # weights in float32 leave the residual stream in float32
        hidden = hidden.to(torch.get_autocast_dtype(kind))
    return head_loss(hidden, head.weight, targets)


def _scale(causal: Any) -> float:
    """What the logits are multiplied by: Cohere keeps the factor in the model, Granite and MiniCPM3 what divides in the config.

    A `logit_scale` of a config alone says nothing: MPT has one and does not use it.
    """
    divisor = getattr(causal.config.get_text_config(), "logits_scaling", None)
    return float(getattr(causal, "logit_scale", None) or 1.0) / float(divisor or 1.0)


def _cap(causal: Any) -> float | None:
    """What the logits stay below, smoothly (Gemma 2)."""
    cap: float | None = getattr(causal.config.get_text_config(), "final_logit_softcapping", None)
    return cap
