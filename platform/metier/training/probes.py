"""Asks a model, before it is trained, whether its loss is the one that is trained, and whether it computes packed examples
as it computes each by itself.

Models that change their logits, with windowed attention or a recurrence don't always: no shape in a config file says so, the
numbers do.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from metier.errors import StepError
from metier.training.encoding import IGNORED, Example
from metier.training.engine import Engine
from metier.training.gradient import Pieces
from metier.training.packs import Pack, alone
from metier.training.token_loss import causal_of, hidden_states, inputs_of

SAME_STATES = 0.1  # relative distance: bfloat16 rounds in every layer (0.02 of 32), another text's tokens change all
SAME_LOSS = 0.01  # relative: bfloat16 rounds, a wrong mask shows far more
PROBE_TOKENS = 64  # of a text whose logits are computed whole: with 256,000 words 65 MB


def refuse_other_loss(engine: Engine, pieces: Pieces, packs: Sequence[Pack]) -> None:
    """Refuses a model whose own logits have another loss than the one that is trained: its forward does more to them behind
    the output layer than token_loss.py knows."""
    import torch

    ids = packs[0].examples[0].ids[:PROBE_TOKENS]
    text = alone([Example(ids, ids)])
    engine.model.eval()
    trained = _loss(engine, pieces, text) / (len(ids) - 1)
    with engine.generating() as model, torch.no_grad(), pieces.arithmetic():
        own = sum(_own_loss(causal_of(model), batch) for batch in pieces.of(text)) / (len(ids) - 1)
    engine.model.train()
    if abs(trained - own) > SAME_LOSS * max(own, 1.0):  # what is no number, gradient.py refuses
        raise StepError(
            f"training: the loss that would be trained is {trained:.3f} a token, by the model's own logits it is {own:.3f}: "
            f"a {type(causal_of(engine.model)).__name__} changes its logits in a way that is not known here; take another base"
        )


def _own_loss(causal: Any, batch: dict[str, Any]) -> float:
    """The summed loss of a batch by all logits that the model itself gives."""
    import torch.nn.functional as functional

    logits = causal(**inputs_of(causal, batch)).logits[0, :-1].float()
    return float(functional.cross_entropy(logits, batch["labels"][0, 1:], ignore_index=IGNORED, reduction="sum"))


def refuse_mixed_rows(engine: Engine, pieces: Pieces, packs: Sequence[Pack]) -> None:
    """Refuses rows in which examples see each other: a model whose layers don't ask who may see whom (a recurrence)."""
    import torch

    few = sorted(alone([pack.examples[0] for pack in packs]), key=lambda p: -p.tokens)  # as they stand in a row
    row = dataclasses.replace(pieces, tokens=sum(p.tokens for p in few))
    padded = dataclasses.replace(pieces, rows=False)
    engine.model.eval()
    with engine.generating() as model, torch.no_grad(), pieces.arithmetic():
        together = torch.cat([hidden_states(model, batch)[0] for batch in row.of(few)])
        apart = torch.cat([hidden_states(model, batch)[0] for one in few for batch in padded.of([one])])
    engine.model.train()
    off = float((together - apart).float().norm() / apart.float().norm())
    if not off < SAME_STATES:
        raise StepError(
            f"training: in one row with others an example's states are {off:.0%} off those that it has by itself: this model "
            "lets examples see each other; set train.packing to padded"
        )


def shares_beginnings(engine: Engine, pieces: Pieces, packs: Sequence[Pack]) -> bool:
    """Whether each pack has the loss of its examples by themselves, so that a beginning may be computed once."""
    engine.model.eval()
    losses = [(_loss(engine, pieces, [pack]), _loss(engine, pieces, alone(pack.examples))) for pack in packs]
    engine.model.train()
    return all(math.isclose(shared, apart, rel_tol=SAME_LOSS) for shared, apart in losses)


def _loss(engine: Engine, pieces: Pieces, packs: Sequence[Pack]) -> float:
    """The summed loss of some packs, on this worker alone."""
    import torch

    with torch.no_grad(), pieces.arithmetic():
        return float(sum(engine.loss(batch) for batch in pieces.of(packs)))
