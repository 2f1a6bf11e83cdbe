"""Natural language inference with a sequence classifier of transformers, on the CPU. No code of a model's is ever run."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metier import models
from metier.errors import InputError

LABEL = "contradiction"
LONGEST = 512  # tokens of two texts
BATCH = 16  # pairs at once


def label_of(location: str) -> int:
    """The number of a model's label for a contradiction. Raises InputError where it has none."""
    described = json.loads((Path(models.resolve(location)) / "config.json").read_text(encoding="utf-8"))
    labels = {str(label).lower(): int(number) for number, label in described.get("id2label", {}).items()}
    if LABEL not in labels:
        known = ", ".join(sorted(labels)) or "none"
        raise InputError(f"model {location}: no NLI model: of its labels ({known}) none is {LABEL!r}")
    return labels[LABEL]


@functools.cache
def scorer(location: str) -> Callable[[Sequence[tuple[str, str]]], list[float]]:
    """Gives the probability that the second text of each pair contradicts the first. One a process.

    Pairs of one length share a batch, so that none is padded and a pair's neighbours hardly change its score. Longer ones than
    the model reads are cut. Raises InputError for what is no such model.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    label, folder = label_of(location), models.resolve(location)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False
        )
    except (ValueError, OSError) as error:
        raise InputError(f"model {location}: no sequence classifier ({str(error).splitlines()[0]})") from None
    model.eval()
    longest = min(LONGEST, getattr(model.config, "max_position_embeddings", LONGEST), tokenizer.model_max_length)

    def scores(pairs: Sequence[tuple[str, str]]) -> list[float]:
        rows = [dict(tokenizer(a, b, truncation=True, max_length=longest)) for a, b in pairs]
        found = [0.0] * len(rows)
        order = sorted(range(len(rows)), key=lambda i: (len(rows[i]["input_ids"]), i))
        for _, group in itertools.groupby(order, key=lambda i: len(rows[i]["input_ids"])):
            alike = list(group)
            for batch in (alike[start : start + BATCH] for start in range(0, len(alike), BATCH)):
                fields = {name: torch.tensor([rows[i][name] for i in batch]) for name in rows[batch[0]]}
                with torch.inference_mode():
                    chances = model(**fields).logits.float().softmax(-1)[:, label]
                for i, chance in zip(batch, chances.tolist(), strict=True):
                    found[i] = chance
        return found

    return scores
