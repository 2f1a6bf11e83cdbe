"""The training loop: plain torch over one engine. Workers share each step's packs; the sum they make is the same.

Nothing here knows Ray; `metier.execution.training` starts one loop a worker.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metier.errors import StepError
from metier.training import checkpoints
from metier.training.course import DevScore, History, Point, StepLoss, StepReport
from metier.training.engine import Engine
from metier.training.feed import Feed
from metier.training.fit import ADAM, ADAM_8BIT, PAGED, Fit
from metier.training.gradient import Pieces, Share, arithmetic, backward, labels_in, refuse_severed
from metier.training.guard import contenders, should_stop
from metier.training.packs import Pack
from metier.training.recipe import Recipe
from metier.training.soundness import Watch, refuse_unsound_point
from metier.training.storage import Storage

CPU_PIECE_TOKENS = 1024  # faster a token than larger pieces there, and 4 GB instead of 9 with 4,096 (SmolLM2-135M)


@dataclass
class Run:
    """Everything that one worker's loop needs."""

    engine: Engine
    feed: Feed
    steps: Sequence[int]  # of each epoch
    pad: int
    storage: Storage
    recipe: Recipe
    identity: dict[str, str]  # what makes this training itself: a checkpoint of another is refused
    fit: Fit | None = None  # to a GPU
    dev_exam: Callable[[Engine], DevScore] | None = None
    tell: Callable[[StepReport | Point], None] = lambda told: None

    @property
    def optimiser(self) -> str:
        """What the moments of a checkpoint are: `adamw` or `adamw_8bit`, wherever these are kept."""
        chosen = self.fit.optimiser if self.fit else self.recipe.optimiser
        return ADAM_8BIT if chosen in (ADAM_8BIT, PAGED) else ADAM

    @property
    def pieces(self) -> Pieces:
        """How this worker computes."""
        device = self.engine.device
        whole = CPU_PIECE_TOKENS if device == "cpu" else self.recipe.batch_tokens
        return Pieces(
            tokens=self.recipe.piece_tokens or (self.fit.piece_tokens if self.fit else whole),
            pad=self.pad,
            device=device,
            arithmetic=arithmetic(self.recipe.precision, device),
            rows=self.recipe.packs_rows(device),
        )


def train(run: Run) -> History:
    """Trains to the end, or on from the newest checkpoint. Raises StepError where training is not sound."""
    total = sum(run.steps)
    history, done = _resumed(run)
    marks = _checkpoint_steps(run.steps[0], total, run.recipe)
    saver = checkpoints.Saver(run.storage, run.engine)
    watch, check, clock = Watch(history.losses), True, time.perf_counter()
    run.engine.model.train()
    try:
        for step, packs in enumerate(run.feed.steps(done), done + 1):
            if should_stop(history.points, run.recipe.patience):  # asked here, so that a resumed run stops as well
                history.stopped_early = True
                break
            report = _step(run, packs, step, total, check)
            history.note(report)
            watch.see(StepLoss(*history.losses[-1]), report.grad_norm, history.points[-1].step if history.points else 0)
            run.tell(dataclasses.replace(report, seconds=time.perf_counter() - clock))
            check = step in marks  # what an evaluation breaks shows in the next step's gradient
            if check:
                history.points.append(_evaluated(run, step, history))
                refuse_unsound_point(history.points[-1], history.points[-2].step if len(history.points) > 1 else 0)
                state = {
                    "step": step,
                    "identity": run.identity,
                    "history": history.as_json(),
                    "optimiser": run.optimiser,
                }
                saver.save(state, keep=contenders(history.points))
                run.tell(history.points[-1])
            clock = time.perf_counter()
        saver.finish()
    finally:
        saver.close()
    if not history.stopped_early and len(history.losses) != total:
        raise StepError(f"training: the data ended at step {len(history.losses)} of {total}")
    return history


def _resumed(run: Run) -> tuple[History, int]:
    state = checkpoints.own(run.storage, run.identity)
    if state is None:
        return History(), 0
    checkpoints.restore(run.storage, state, run.engine)
    return History.from_json(state["history"]), state["step"]


def _checkpoint_steps(per_epoch: int, total: int, recipe: Recipe) -> set[int]:
    every = max(1, per_epoch // recipe.checkpoints_per_epoch)
    return {step for step in range(every, total + 1, every) if total - step >= every // 2} | {total}


def _schedule(step: int, total: int, warmup_share: float) -> float:
    warmup = max(1, round(total * warmup_share))
    if step <= warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup + 1)))


def _step(run: Run, packs: Sequence[Pack], step: int, total: int, check: bool) -> StepReport:
    """One step over all workers' packs."""
    import torch

    torch.manual_seed(_seed(run.recipe.seed, step, run.engine.peers.rank))  # for dropout: nothing to be saved
    pieces, rate = run.pieces, run.recipe.learning_rate * _schedule(step, total, run.recipe.warmup_share)
    share = Share.of(packs, pieces, run.engine)
    loss = backward(run.engine, packs, share, pieces)
    if check:
        refuse_severed(run.engine.magnitudes())
    norm = run.engine.step(rate, run.recipe.max_grad_norm)
    return StepReport(
        step=step,
        steps=total,
        loss=float(loss),
        learning_rate=rate,
        grad_norm=norm,
        tokens=sum(len(e.ids) for pack in packs for e in pack.examples),
        computed_tokens=share.computed(pieces),
        labels=labels_in(packs),
        seconds=0.0,
        peak_bytes=0 if run.engine.device == "cpu" else torch.cuda.max_memory_allocated(run.engine.device),
        device_flops=run.fit.flops if run.fit else 0.0,
    )


def _seed(seed: int, step: int, rank: int) -> int:
    """Another one for each step and worker; the same wherever training goes on from."""
    return (seed * 1_000_003 + step) * 4099 + rank


def _evaluated(run: Run, step: int, history: History) -> Point:
    """Takes validation loss and dev exam. Neither draws a random number that training would miss."""
    run.engine.model.eval()
    val_loss = _validation_loss(run)
    dev = run.dev_exam(run.engine) if run.dev_exam else None
    run.engine.model.train()
    recent = [StepLoss(*row) for row in history.losses[-max(1, len(history.losses) // 10) :]]
    return Point(
        step=step,
        epoch=round(step / run.steps[0], 3),
        train_loss=sum(one.loss * one.labels for one in recent) / sum(one.labels for one in recent),
        val_loss=val_loss,
        dev_score=dev.score if dev else None,
        dev_error=dev.error if dev else None,
        answer_words=dev.answer_words if dev else None,
        refusal_share=dev.refusal_share if dev else None,
    )


def _validation_loss(run: Run) -> float | None:
    """Mean loss of a token over the validation set; None without one. Every worker gets the whole sum."""
    import torch

    pieces = run.pieces
    total, labels = torch.zeros((), device=pieces.device), 0
    for packs in run.feed.validation():
        labels += labels_in(packs)
        for piece, weight in Share.of(packs, pieces, run.engine).mine():
            with torch.no_grad(), pieces.arithmetic():
                total += run.engine.loss(pieces.batch(piece)) * weight
    run.engine.peers.sum_(total)
    return float(total) / labels if labels else None
