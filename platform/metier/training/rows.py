"""Packs as single rows without padding: how a GPU is fed. On a CPU padded rows (packs.py) are as fast."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from metier.training.encoding import IGNORED
from metier.training.packs import Pack
from metier.training.segments import Segments


def shared_out(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Places of packs, shared out over rows of at most `most` tokens, or of a single longer pack; rows are about equal."""
    number = -(-sum(lengths) // most) if lengths else 0
    while True:
        rows = levelled(lengths, number)
        if all(len(row) <= 1 or sum(lengths[i] for i in row) <= most for row in rows):
            return [row for row in rows if row]
        number += 1


def levelled(lengths: Sequence[int], number: int) -> list[list[int]]:
    """Places of packs, shared out over `number` lists of about equally many tokens.

    The longest goes first, always to the shortest list (Graham 1969, longest processing time first).
    """
    lists: list[list[int]] = [[] for _ in range(number)]
    filled = [0] * number
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        least = min(range(number), key=lambda r: (filled[r], r))
        lists[least].append(i)
        filled[least] += lengths[i]
    return lists


def row_of(packs: Sequence[Pack], device: str) -> dict[str, Any]:
    """Tensors of shape (1, tokens): input_ids, position_ids, labels; and the segments that keep the texts apart.

    `attention_mask` says nothing: it has four dimensions, which tells transformers to make no mask of its own.
    """
    import numpy as np
    import torch

    def tensor(values: Sequence[int], kind: type = np.int64) -> Any:
        return torch.from_numpy(np.array(values, dtype=kind)).to(device)  # torch.tensor would take ten times as long

    ids: list[int] = []
    labels: list[int] = []
    positions: list[int] = []
    places: list[int] = []
    queries, keys = [0], [0]
    shared = any(pack.shared for pack in packs)
    for pack in packs:
        begun = len(ids)
        begin = pack.examples[0]
        parts = [(0, begin.ids[: pack.shared], begin.labels[: pack.shared])] if pack.shared else []
        parts += [(pack.shared, e.ids[pack.shared :], e.labels[pack.shared :]) for e in pack.examples]
        for start, part, marks in parts:
            if shared:
                places += [*range(begun, begun + start), *range(len(ids), len(ids) + len(part))]
            ids += part
            labels += [IGNORED, *marks[1:]]  # what stands before a segment belongs to another text
            positions += range(start, start + len(part))
            queries.append(len(ids))
            keys.append(keys[-1] + start + len(part))
    segments = Segments(
        queries=tensor(queries, np.int32),
        keys=tensor(keys, np.int32),
        longest_queries=max(b - a for a, b in pairwise(queries)),
        longest_keys=max(b - a for a, b in pairwise(keys)),
        places=tensor(places) if shared else None,
    )
    return {
        "input_ids": tensor(ids)[None],
        "position_ids": tensor(positions)[None],
        "labels": tensor(labels)[None],
        "attention_mask": torch.empty(1, 1, 1, 1, device=device),
        "segments": segments,
    }
