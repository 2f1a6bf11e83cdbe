"""Searches settings on Ray Tune: Optuna's TPE proposes, ASHA prunes, a kill anywhere loses no finished trial.

A trial is known by its settings, and has a place of its own (trial_place.py). Tune's own state, from which a killed search
goes on, lies beside them; what a trial came to is read from its place alone. A search that begins anew draws its settings
again, and those whose outcome is known are not trained again.

TPE: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization. ASHA: Li et al. 2020, A System for Massively Parallel
Hyperparameter Tuning.
"""

from __future__ import annotations

import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from metier.errors import InputError, MetierError, StepError
from metier.execution.step import Progress
from metier.execution.training import Told
from metier.execution.trial_place import Place, Settings
from metier.training.course import Point
from metier.training.soundness import DIVERGED
from metier.training.space import Dimension
from metier.training.study import distribution
from metier.training.trials import Outcome, objective

TUNE = "tune"
SNAPSHOT_SECONDS = 5  # between two states of the search; what ended since is not trained again either
POLL_SECONDS = 0.5
TRIAL_BYTES = (
    1e6  # all that a trial's own process asks for: Ray wants something, and the CPUs are its training workers'
)
OBJECTIVE, CHECKPOINT = "objective", "checkpoint"
REASON_CHARACTERS = 500

TrainOnce = Callable[[Settings, Path, Callable[[Told], None]], None]
"""Trains with some settings in a folder of its own, goes on from the checkpoints there, and tells each new one, and the steps."""


@dataclass(frozen=True)
class Plan:
    """A search: where, how long, and when a trial is given up."""

    space: Sequence[Dimension]
    trials: int
    max_parallel: int
    grace: int  # checkpoints that every trial may take
    most: int  # checkpoints of the longest trial
    reduction: float  # at checkpoint grace * reduction**k the best 1 / reduction of the trials so far go on
    seed: int


def sweep(plan: Plan, folder: Path, train_once: TrainOnce, progress: Progress) -> list[Outcome]:
    """What each distinct trial came to, in no order. Goes on from what lies in `folder`, which all workers must see.

    A trial that a machine let down in an earlier attempt is run anew. Raises StepError when no trial came to an end; a new
    attempt then begins from nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if let_down := [place for place in _ended(folder) if not place.outcome().lasting]:
        _begin_anew(folder, let_down)
    finished = threading.Event()
    watcher = threading.Thread(target=_follow, args=(folder, plan.trials, progress, finished), daemon=True)
    watcher.start()
    try:
        _fit(plan, folder, train_once, progress)
    finally:
        finished.set()
        watcher.join()
    places = _ended(folder)
    ended = [place.outcome() for place in places]
    failed = [one for one in ended if one.state == "failed"]
    if len(failed) == len(ended):
        _begin_anew(folder, places)  # who mended the cause would find a search that is over
        why = failed[0].reason if failed else "none was started"
        raise StepError(f"tuning: all {len(ended)} trials failed, the first: {why}")
    return ended


def _ended(folder: Path) -> list[Place]:
    return [place for place in Place.all_in(folder) if place.ended]


def _begin_anew(folder: Path, failed: Sequence[Place]) -> None:
    """Forgets outcomes, and Tune's state, which holds these trials to be over."""
    for place in failed:
        place.forget()
    shutil.rmtree(folder / TUNE, ignore_errors=True)


def _fit(plan: Plan, folder: Path, train_once: TrainOnce, progress: Progress) -> None:
    """Runs the search, or what is left of it."""
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", str(SNAPSHOT_SECONDS))
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new one prints a table however little is asked of it
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # it would end the search as if it were complete
    import optuna
    from ray.tune import Tuner, with_resources

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    here = os.getcwd()

    def trial(config: dict[str, Any]) -> None:
        os.chdir(here)  # Tune gives a trial a folder of its own, in which relative paths lead nowhere
        _run_trial(config, folder, train_once)

    trainable = with_resources(trial, {"memory": TRIAL_BYTES})
    state = folder / TUNE
    if Tuner.can_restore(str(state)):
        try:
            tuner = Tuner.restore(str(state), trainable=trainable)
        except Exception as error:  # a kill may have cut its state short
            progress(0, plan.trials, f"trials: the search's state can't be read ({error}), so it begins anew")
            shutil.rmtree(state)
            tuner = _new_tuner(plan, folder, trainable)
    else:
        tuner = _new_tuner(plan, folder, trainable)
    tuner.fit()


def _new_tuner(plan: Plan, folder: Path, trainable: Any) -> Any:
    from ray.tune import RunConfig, TuneConfig, Tuner
    from ray.tune.schedulers import AsyncHyperBandScheduler

    scheduler = AsyncHyperBandScheduler(
        time_attr=CHECKPOINT,
        metric=OBJECTIVE,
        mode="max",
        max_t=max(plan.most, plan.grace),
        grace_period=plan.grace,
        reduction_factor=plan.reduction,
        stop_last_trials=False,  # a trial that is trained to its end says so itself
    )
    return Tuner(
        trainable,
        tune_config=TuneConfig(
            num_samples=plan.trials,
            max_concurrent_trials=plan.max_parallel,
            search_alg=_searcher(plan),
            scheduler=scheduler,
        ),
        run_config=RunConfig(name=TUNE, storage_path=str(folder), callbacks=[_ender(folder)], verbose=0),
    )


def _searcher(plan: Plan) -> Any:
    from optuna.samplers import TPESampler
    from ray.tune.search.optuna import OptunaSearch

    sampler = TPESampler(seed=plan.seed, constant_liar=plan.max_parallel > 1)  # what runs together should lie apart
    space = {one.name: distribution(one) for one in plan.space}
    return OptunaSearch(space=space, metric=OBJECTIVE, mode="max", sampler=sampler)


def _ender(folder: Path) -> Any:
    """Tune's callback that ends those trials which did not end themselves: the pruned ones and those whose process died."""
    from ray.tune import Callback

    class Ender(Callback):
        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            Place.of(trial.config, folder).end(trial.config, "pruned")

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            reason = f"its process died: {trial.get_error()}"
            Place.of(trial.config, folder).end(trial.config, "failed", reason, lasting=False)

    return Ender()


def _run_trial(settings: Settings, folder: Path, train_once: TrainOnce) -> None:
    """One trial in its own process: tells Tune of each checkpoint, and leaves its outcome behind."""
    from ray import tune

    place = Place.of(settings, folder)
    with place.locked():
        number = 0
        for number, value in enumerate(_objectives(settings, place, train_once), 1):
            tune.report({OBJECTIVE: value, CHECKPOINT: number})
        if place.outcome().state == "failed":  # the sampler should look elsewhere: it forgets a trial that raises
            tune.report({OBJECTIVE: 0.0, CHECKPOINT: number + 1})


def _objectives(settings: Settings, place: Place, train_once: TrainOnce) -> Iterator[float]:
    """The objective after each checkpoint: of an earlier attempt first, then of those that training comes to now."""
    if place.ended:
        ended = place.outcome().points
        yield from (objective(ended[: number + 1]) for number in range(len(ended)))
        return
    points, before = place.begin()
    yield from (objective(points[: number + 1]) for number in range(len(points)))
    begun, untold = time.monotonic(), False
    try:
        for point, goes_on in _followed(_heard(partial(train_once, settings, place.path))):
            if points and point.step <= points[-1].step:  # training went on from a checkpoint before that one
                continue
            points.append(point)
            place.note(point, before + time.monotonic() - begun)
            untold = not goes_on
            if goes_on:
                yield objective(points)
        place.end(settings, "complete", seconds=before + time.monotonic() - begun)
    except Exception as error:
        place.end(settings, "failed", _words(error), before + time.monotonic() - begun, lasting=_lasting(error))
        return
    if untold:  # only now: ASHA may stop a trial at any checkpoint it hears of, and this one is trained to its end
        yield objective(points)


def _lasting(error: Exception) -> bool:
    return isinstance(error, InputError) or (isinstance(error, StepError) and str(error).startswith(DIVERGED))


def _words(error: Exception) -> str:
    text = str(error) if isinstance(error, MetierError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:REASON_CHARACTERS]


def _followed(told: Iterator[Told]) -> Iterator[tuple[Point, bool]]:
    """Each checkpoint, once it is known whether training goes on from it."""
    waiting: Point | None = None
    for one in told:
        if waiting:
            yield waiting, True
        waiting = one if isinstance(one, Point) else None
    if waiting:
        yield waiting, False


def _heard(train: Callable[[Callable[[Told], None]], None]) -> Iterator[Told]:
    """Steps and checkpoints as training tells them: it has a thread of its own, so it does not wait while Tune decides."""
    told: queue.Queue[Told | BaseException | None] = queue.Queue()

    def work() -> None:
        try:
            train(told.put)
            told.put(None)
        except BaseException as error:
            told.put(error)

    threading.Thread(target=work, daemon=True).start()
    while (one := told.get()) is not None:
        if isinstance(one, BaseException):
            raise one
        yield one


def _follow(folder: Path, trials: int, progress: Progress, finished: threading.Event) -> None:
    """Says how far the search is, whenever that changes."""
    said: tuple[int, str] | None = None
    while True:
        last = finished.wait(POLL_SECONDS)
        now = _standing(folder)
        if now != said:
            said = now
            progress(now[0], trials, now[1])
        if last:
            return


def _standing(folder: Path) -> tuple[int, str]:
    """Trials that have ended, and what there is to say of all."""
    ended, running = 0, 0
    best = -1.0
    for place in Place.all_in(folder):
        try:
            points = place.outcome().points if place.ended else place.told()[0]
        except OSError:  # it ended in this moment
            continue
        ended += place.ended
        running += place.path.is_dir()
        best = max([best, *(p.dev_score for p in points if p.dev_score is not None)])
    text = f"trials, {running} running" + (f", best {best:.2f}" if best >= 0 else "")
    return ended, text
