"""Attention over many texts that stand one behind the other in a single row: none sees another, and nothing is padding.

A segment is a run of tokens with keys of its own. A text is one segment; of texts that begin alike the beginning is one,
and each rest is one whose keys are the beginning's and its own, so shared beginnings cost no mask either. A GPU runs the
variable-length kernel of FlashAttention-2 (Dao 2023) that torch carries; elsewhere torch's scaled dot product goes over
the segments one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metier.errors import StepError

NAME = "metier_segments"  # among transformers' attention implementations
WIDEST_HEAD = 256  # of FlashAttention-2


@dataclass(frozen=True)
class Segments:
    """Where the segments of a row begin and end, among its queries and among its keys."""

    queries: Any  # int32, (segments + 1)
    keys: Any  # int32, (segments + 1)
    longest_queries: int
    longest_keys: int
    places: Any = None  # int64, (keys): the place in the row behind each key; None where keys stand as the queries do


def attention(query: Any, key: Any, value: Any, segments: Segments, scale: float, window: int | None = None) -> Any:
    """What each token reads: causal within its segment, the last query beside the last key.

    Shapes (tokens, heads, width); key and value may have fewer heads. `window`: how many tokens back a token sees.
    """
    import torch

    kind = query.device.type
    if torch.is_autocast_enabled(kind):  # rotary positions of a float32 model leave queries in float32
        query, key, value = (part.to(torch.get_autocast_dtype(kind)) for part in (query, key, value))
    if segments.places is not None:
        key, value = key[segments.places], value[segments.places]
    if not (query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) and query.shape[-1] <= WIDEST_HEAD):
        return _one_by_one(query, key, value, segments, scale, window)
    # The operator behind torch.nn.attention.varlen, which takes fewer key heads than query heads only since torch 2.12.
    return torch.ops.aten._flash_attention_forward(
        query,
        key,
        value,
        segments.queries,
        segments.keys,
        segments.longest_queries,
        segments.longest_keys,
        0.0,
        True,
        False,
        scale=scale,
        window_size_left=-1 if window is None else window - 1,
        window_size_right=0,
    )[0]


def _one_by_one(query: Any, key: Any, value: Any, segments: Segments, scale: float, window: int | None) -> Any:
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    of_queries, of_keys = segments.queries.tolist(), segments.keys.tolist()
    read = []
    for i in range(len(of_queries) - 1):
        q, k, v = (
            part[bounds[i] : bounds[i + 1]].transpose(0, 1)[None]
            for part, bounds in ((query, of_queries), (key, of_keys), (value, of_keys))
        )
        ahead = k.shape[2] - q.shape[2]
        sight = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril(ahead)
        if window is not None:
            sight = sight.triu(ahead - window + 1)
        read.append(scaled_dot_product_attention(q, k, v, attn_mask=sight, scale=scale, enable_gqa=True)[0])
    return torch.cat(read, dim=1).transpose(0, 1)


def attend_by_segments(model: Any) -> None:
    """Makes a transformers model read segments where it is given them (`segments=` of its forward), else as before."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _interface)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def _interface(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    segments: Segments | None = None,
    **settings: Any,
) -> tuple[Any, None]:
    """transformers' signature: (batch, heads, tokens, width) in, (batch, tokens, heads, width) out."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if segments is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    for unknown in ("dropout", "softcap", "s_aux"):
        if settings.get(unknown):
            raise StepError(
                f"training: this model's attention has {unknown}, which rows cannot have; set train.packing to padded"
            )
    scale = settings.get("scaling") or query.shape[-1] ** -0.5
    query, key, value = (one[0].transpose(0, 1) for one in (query, key, value))
    return attention(query, key, value, segments, scale, settings.get("sliding_window"))[None], None
