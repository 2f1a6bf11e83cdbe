"""Which packs make which step: buckets of like length, a seeded order, and no dependence on the number of workers."""

from __future__ import annotations

import random
from collections.abc import Sequence

BUCKETS_OF = 8  # steps whose packs are sorted by length together: padding falls, the order stays mixed
LEAST_TOGETHER = 64  # packs: where most fill a step alone, short ones still meet, and no step is one short answer


def epoch_batches(
    lengths: Sequence[int], batch_tokens: int, seed: int, epoch: int, padded: bool = True
) -> list[list[int]]:
    """The steps of one epoch: places of packs whose lengths, padded to the longest, stay within `batch_tokens`.

    Every pack comes once; one that is longer than `batch_tokens` makes a step of its own. Where nothing is padded, lengths
    need not be alike: steps are filled in the shuffled order.
    """
    order = list(range(len(lengths)))
    generator = random.Random(f"{seed}:{epoch}")
    generator.shuffle(order)
    if not padded:
        return _filled(order, lengths, batch_tokens)
    mean = max(1, sum(lengths) // max(1, len(lengths)))
    span = max(LEAST_TOGETHER, batch_tokens // mean * BUCKETS_OF)
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


def _filled(order: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    batches: list[list[int]] = []
    room = 0
    for i in order:
        if not batches or lengths[i] > room:
            batches.append([])
            room = batch_tokens
        batches[-1].append(i)
        room -= lengths[i]
    return batches
