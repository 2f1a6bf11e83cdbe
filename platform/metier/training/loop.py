"""The training loop: plain torch over one model. Workers share each step's rows; the sum they make is the same.

Nothing here knows Ray; `metier.execution.training` starts one loop a worker.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from metier.config import StageConfig
from metier.errors import StepError
from metier.training import checkpoints
from metier.training.batches import epoch_batches
from metier.training.card import optimiser_of
from metier.training.course import History, Point
from metier.training.encoding import Example
from metier.training.fit import Fit
from metier.training.gradient import (
    Peers,
    Pieces,
    arithmetic,
    backward,
    hidden_states,
    labels_in,
    loss_sum,
    refuse_severed,
)
from metier.training.guard import should_stop
from metier.training.model import Precision, trainable
from metier.training.packs import Pack, alone, packed

CPU_PIECE_TOKENS = 1024  # faster a token than larger pieces there, and 4 GB instead of 9 with 4,096 (SmolLM2-135M)
SAME_STATES = 0.1  # relative distance: bfloat16 rounds in every layer (0.02 of 32), another text's tokens change all
SAME_LOSS = 0.01  # relative: bfloat16 rounds, a wrong mask shows far more
RECENT = 10  # steps: one step may hold a single short answer that nobody could guess
SPIKE = 2.0  # recent steps whose mean loss is this many times that of the first ones are divergence


class Recipe(StageConfig):
    """How the weights are moved."""

    epochs: int = Field(2, ge=1, le=100)
    """Passes over the training set."""
    learning_rate: float = Field(5e-4, gt=0, le=1)
    """Highest learning rate; it warms up to it and falls to zero along a cosine."""
    warmup_share: float = Field(0.05, ge=0, le=1)
    """Share of all steps that the warm-up takes."""
    weight_decay: float = Field(0.0, ge=0, le=1)
    """AdamW's weight decay."""
    max_grad_norm: float = Field(1.0, gt=0, le=1000)
    """Gradients are clipped to this norm."""
    batch_tokens: int = Field(4096, ge=16, le=10_000_000)
    """Tokens computed in one step over all workers: padding counts, and a beginning that examples share counts once.
    What is longer by itself is a step of its own."""
    pack_tokens: int = Field(1024, ge=16, le=10_000_000)
    """Examples that begin alike are joined up to this length, and their beginning is computed once."""
    piece_tokens: int = Field(0, ge=0, le=10_000_000)
    """Tokens computed at once: a step is worked off in such pieces to spare memory; 0: 1,024 on a CPU, on a GPU what fits."""
    packing: Literal["auto", "padded", "rows"] = "auto"
    """`rows`: a piece is one row without padding, in which no example sees another; `padded`: an example or a pack is a
    row; `auto`: rows on a GPU, padded on a CPU, where they are as fast."""
    checkpointing: Literal["auto", "none", "full"] = "auto"
    """Layers computed twice to spare memory on a GPU; `auto`: as few as the card's memory wants."""
    optimiser: Literal["auto", "adamw", "adamw_8bit"] = "auto"
    """`adamw_8bit` keeps its moments in 8 bits (GPU only); `auto`: only where nothing else fits."""
    checkpoints_per_epoch: int = Field(2, ge=1, le=1000)
    """How often validation loss and dev exam are taken, and the state saved."""
    patience: int = Field(0, ge=0, le=100)
    """Stop after so many checkpoints without a better dev score or validation loss; 0: never."""
    precision: Precision = "auto"
    """Number format of the arithmetic; auto: bfloat16 on a GPU, float32 on a CPU, where it is the faster one."""
    seed: int = Field(0, ge=0)
    """Another seed shuffles and initialises differently."""


@dataclass(frozen=True)
class DevScore:
    """What the dev exam gave at a checkpoint."""

    score: float
    error: float  # its standard error
    answer_words: float
    refusal_share: float


@dataclass
class Run:
    """Everything that one worker's loop needs."""

    model: Any
    train: Sequence[Example]
    validation: Sequence[Example]
    pad: int
    work: Path
    recipe: Recipe
    device: str = "cpu"
    fit: Fit | None = None  # to a GPU
    peers: Peers = field(default_factory=Peers)
    dev_exam: Callable[[Any], DevScore] | None = None
    progress: Callable[[int, int, str], None] = lambda done, total, what: None

    @property
    def rows(self) -> bool:
        """Whether pieces are rows without padding."""
        return packs_rows(self.recipe, self.device)


def packs_rows(recipe: Recipe, device: str) -> bool:
    """Whether this recipe packs rows on that device."""
    return recipe.packing == "rows" or (recipe.packing == "auto" and device != "cpu")


def train(run: Run) -> History:
    """Trains to the end, or on from the newest checkpoint in `run.work`. Raises StepError where training is not sound."""
    packs, held_out = _packs(run)
    if not labels_in(packs):
        raise StepError("training: no token of the training set carries a label, so the loss would cover nothing")
    lengths = [p.tokens for p in packs]
    plan = [
        epoch_batches(lengths, run.recipe.batch_tokens, run.recipe.seed, epoch, padded=not run.rows)
        for epoch in range(run.recipe.epochs)
    ]
    steps = [batch for epoch in plan for batch in epoch]
    weights = trainable(run.model)
    kind = run.fit.optimiser if run.fit else run.recipe.optimiser
    optimiser = optimiser_of(
        kind, list(weights.values()), run.device, run.recipe.learning_rate, run.recipe.weight_decay
    )
    history, done = _resumed(run, weights, optimiser, len(steps))
    marks = _checkpoint_steps(len(plan[0]), len(steps), run.recipe)
    run.model.train()
    for step in range(done + 1, len(steps) + 1):
        if should_stop(history.points, run.recipe.patience):  # asked here, so that a resumed run stops as well
            history.stopped_early = True
            break
        for group in optimiser.param_groups:
            group["lr"] = run.recipe.learning_rate * _schedule(step, len(steps), run.recipe.warmup_share)
        loss = _step(run, [packs[i] for i in steps[step - 1]], weights, optimiser, check=step == done + 1)
        history.losses.append([step, loss])
        _refuse_divergence(history.losses)
        run.progress(step, len(steps), f"steps, loss {loss:.3f}")
        if step in marks:
            _take_checkpoint(run, packs, held_out, step, plan, weights, optimiser, history)
    return history


def _packs(run: Run) -> tuple[list[Pack], list[Pack]]:
    """Training and validation packs. Beginnings are shared where this model then computes the same as without that.

    A model with windowed attention or a recurrence doesn't: it is asked with the pack that shares most and with the one
    that reaches farthest back.
    """
    most = run.recipe.pack_tokens
    packs, held_out = packed(run.train, most), packed(run.validation, most)
    if run.rows:
        _refuse_mixed_rows(run, packs)
    sharing = [p for p in (*packs, *held_out) if p.shared]
    if not sharing:
        return packs, held_out
    fullest = max(sharing, key=lambda p: (len(p.examples), p.shared))
    farthest = max(sharing, key=lambda p: max(len(e.ids) for e in p.examples))
    run.model.eval()
    losses = [(_loss(run, [p]), _loss(run, alone(p.examples))) for p in (fullest, farthest)]
    run.model.train()
    if all(math.isclose(shared, apart, rel_tol=SAME_LOSS) for shared, apart in losses):
        return packs, held_out
    return alone(run.train), alone(run.validation)


def _refuse_mixed_rows(run: Run, packs: Sequence[Pack]) -> None:
    """Refuses rows in which examples see each other: a model whose layers don't ask who may see whom (a recurrence)."""
    import torch

    few = sorted(alone([pack.examples[0] for pack in packs[:3]]), key=lambda p: -p.tokens)  # as they stand in a row
    pieces = dataclasses.replace(_pieces(run), tokens=sum(p.tokens for p in few))
    run.model.eval()
    with torch.no_grad(), pieces.arithmetic():
        together = torch.cat([hidden_states(run.model, row)[0] for row in pieces.of(few)])
        padded_rows = dataclasses.replace(pieces, rows=False)
        apart = torch.cat([hidden_states(run.model, row)[0] for one in few for row in padded_rows.of([one])])
    run.model.train()
    off = float((together - apart).float().norm() / apart.float().norm())
    if not off < SAME_STATES:
        raise StepError(
            f"training: in one row with others an example's states are {off:.0%} off those that it has by itself: this model "
            "lets examples see each other; set train.packing to padded"
        )


def _loss(run: Run, packs: Sequence[Pack]) -> float:
    """The summed loss of some packs, on this worker alone."""
    import torch

    pieces = _pieces(run)
    total = torch.zeros((), device=run.device)
    with torch.no_grad():
        for batch in pieces.of(packs):
            with pieces.arithmetic():
                total += loss_sum(run.model, batch)
    return float(total)


def _resumed(run: Run, weights: dict[str, Any], optimiser: Any, steps: int) -> tuple[History, int]:
    import torch

    found = checkpoints.newest(run.work)
    if found is None:
        torch.manual_seed(run.recipe.seed)  # for dropout
        return History(), 0
    state = checkpoints.restore(found, weights, optimiser)
    if state["steps"] != steps:
        raise StepError(
            f"training: the checkpoint in {run.work} belongs to a plan of {state['steps']} steps, this one has {steps}: "
            "remove that folder to begin anew"
        )
    return History.from_json(state["history"]), state["step"]


def _checkpoint_steps(per_epoch: int, total: int, recipe: Recipe) -> set[int]:
    every = max(1, per_epoch // recipe.checkpoints_per_epoch)
    return {step for step in range(every, total + 1, every) if total - step >= every // 2} | {total}


def _schedule(step: int, total: int, warmup_share: float) -> float:
    warmup = max(1, round(total * warmup_share))
    if step <= warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup + 1)))


def _pieces(run: Run) -> Pieces:
    whole = CPU_PIECE_TOKENS if run.device == "cpu" else run.recipe.batch_tokens
    return Pieces(
        tokens=run.recipe.piece_tokens or (run.fit.piece_tokens if run.fit else whole),
        pad=run.pad,
        device=run.device,
        arithmetic=arithmetic(run.recipe.precision, run.device),
        rows=run.rows,
    )


def _step(run: Run, packs: Sequence[Pack], weights: dict[str, Any], optimiser: Any, check: bool) -> float:
    """One step over all workers' packs; gives the mean loss of a token."""
    import torch

    loss = backward(run.model, packs, weights, _pieces(run), run.peers)
    if check:
        refuse_severed(weights)
    torch.nn.utils.clip_grad_norm_(list(weights.values()), run.recipe.max_grad_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return float(loss)


def _refuse_divergence(losses: Sequence[Sequence[float]]) -> None:
    step, loss = losses[-1]
    if not math.isfinite(loss):
        raise StepError(f"training diverged: the loss is {loss} at step {step:.0f}; lower train.learning_rate")
    first, recent = ([value for _, value in part] for part in (losses[:5], losses[-RECENT:]))
    mean = sum(recent) / len(recent)
    if len(losses) > RECENT and mean > SPIKE * max(1.0, sum(first) / len(first)):
        raise StepError(
            f"training diverged: the mean loss of the last {RECENT} steps is {mean:.1f} at step {step:.0f}; "
            "lower train.learning_rate"
        )


def _validation_loss(run: Run, held_out: Sequence[Pack]) -> float | None:
    """Mean loss of a token over the validation set; None without one. Every worker gets the whole sum."""
    import torch

    if not held_out:
        return None
    total = torch.tensor(_loss(run, held_out[run.peers.rank :: run.peers.world]), device=run.device)
    run.peers.sum_(total)
    return float(total) / max(1, labels_in(held_out))


def _take_checkpoint(
    run: Run,
    packs: Sequence[Pack],
    held_out: Sequence[Pack],
    step: int,
    plan: Sequence[Sequence[Any]],
    weights: dict[str, Any],
    optimiser: Any,
    history: History,
) -> None:
    """Takes validation loss and dev exam, checks that training still reaches every layer, and saves."""
    import torch

    run.model.eval()
    random = torch.get_rng_state()
    val_loss = _validation_loss(run, held_out)
    dev = _dev_score(run)
    torch.set_rng_state(random)
    run.model.train()
    recent = [value for _, value in history.losses[-max(1, len(history.losses) // 10) :]]
    history.points.append(
        Point(
            step=step,
            epoch=round(step / len(plan[0]), 3),
            train_loss=sum(recent) / len(recent),
            val_loss=val_loss,
            dev_score=dev.score if dev else None,
            dev_error=dev.error if dev else None,
            answer_words=dev.answer_words if dev else None,
            refusal_share=dev.refusal_share if dev else None,
        )
    )
    _refuse_severed_by_evaluation(run, packs, weights)
    if run.peers.rank == 0:
        state = {"step": step, "steps": sum(map(len, plan)), "history": history.as_json()}
        checkpoints.save(run.work, step, weights, optimiser, state)


def _dev_score(run: Run) -> DevScore | None:
    """The dev exam, sat by the first worker; all of them know the result, so all stop at the same step."""
    import torch

    if run.dev_exam is None:
        return None
    numbers = torch.zeros(len(dataclasses.fields(DevScore)), device=run.device)
    if run.peers.rank == 0:
        scored = run.dev_exam(run.model)  # not in autocast: it would cast all weights anew for every token
        numbers += torch.tensor(dataclasses.astuple(scored), device=run.device)
    run.peers.sum_(numbers)
    return DevScore(*(round(float(n), 6) for n in numbers))


def _refuse_severed_by_evaluation(run: Run, packs: Sequence[Pack], weights: dict[str, Any]) -> None:
    """One backward pass after the evaluation: some kernels repack weights for inference and cut the gradients off."""
    backward(run.model, packs[: run.peers.world], weights, _pieces(run), run.peers)
    refuse_severed(weights)
    for parameter in weights.values():
        parameter.grad = None
