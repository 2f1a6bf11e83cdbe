"""Which examples make which step: buckets of like length, a seeded order, and no dependence on the number of workers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from metier.training.encoding import IGNORED, Example

BUCKETS_OF = 8  # steps whose examples are sorted by length together: padding falls, the order stays mixed


def epoch_batches(lengths: Sequence[int], batch_tokens: int, seed: int, epoch: int) -> list[list[int]]:
    """The steps of one epoch: places of examples whose lengths, padded to the longest, stay within `batch_tokens`.

    Every example comes once; one that is longer than `batch_tokens` makes a step of its own.
    """
    order = list(range(len(lengths)))
    generator = random.Random(f"{seed}:{epoch}")
    generator.shuffle(order)
    mean = max(1, sum(lengths) // max(1, len(lengths)))
    span = max(1, batch_tokens // mean) * BUCKETS_OF
    batches: list[list[int]] = []
    for start in range(0, len(order), span):
        batches += cut(sorted(order[start : start + span], key=lambda i: (lengths[i], i)), lengths, batch_tokens)
    generator.shuffle(batches)
    return batches


def cut(ordered: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Cuts places, ordered by rising length, into batches of at most `batch_tokens` tokens, padding included."""
    batches: list[list[int]] = []
    for i in ordered:  # lengths rise, so the newest is the longest of its batch
        if batches and (len(batches[-1]) + 1) * lengths[i] <= batch_tokens:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def padded(examples: Sequence[Example], pad: int, device: str) -> dict[str, Any]:
    """Tensors of shape (examples, longest): input_ids, attention_mask, labels."""
    import torch

    width = max(len(e.ids) for e in examples)
    rows = {
        "input_ids": [e.ids + [pad] * (width - len(e.ids)) for e in examples],
        "attention_mask": [[1] * len(e.ids) + [0] * (width - len(e.ids)) for e in examples],
        "labels": [e.labels + [IGNORED] * (width - len(e.labels)) for e in examples],
    }
    return {name: torch.tensor(values, device=device) for name, values in rows.items()}
