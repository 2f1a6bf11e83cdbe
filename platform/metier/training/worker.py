"""What one training worker does: load, train, and leave the best adapter, or whole model, behind.

The job folder holds `job.json`, `dev.jsonl` (exam requests and questions) and three tables of steps (feed.py): `train.arrow`,
`validation.arrow`, `probes.arrow`. Checkpoints lie where the job says, so a restarted worker, or a restarted run, goes
on from there.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from metier.errors import InputError, MetierError, StepError
from metier.inference.transformers_engine import load_tokenizer
from metier.records import Message, Question, record_from
from metier.training import checkpoints
from metier.training.course import History, Point, StepReport
from metier.training.dev_exam import DevQuestion, dev_exam
from metier.training.engine import Engine, Peers
from metier.training.feed import Feed, Schedule, steps_in, tables_of, write_steps
from metier.training.fit import ADAM_8BIT
from metier.training.guard import best_point
from metier.training.loop import Run, train
from metier.training.model import AnyMethod, Method, base_dtype, weights_in
from metier.training.preparation import prepared
from metier.training.probes import refuse_mixed_rows, refuse_other_loss, shares_beginnings
from metier.training.recipe import Recipe
from metier.training.sharding import DDP
from metier.training.storage import Storage

JOB, DEV, TRAIN, VALIDATION, PROBES = "job.json", "dev.jsonl", "train.arrow", "validation.arrow", "probes.arrow"
RESULT, ADAPTER = "result.json", "adapter"


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be done; everything in it is JSON-able."""

    base: str  # a folder
    recipe: dict[str, Any]
    method: dict[str, Any]
    identity: dict[str, str]  # what makes this training itself
    checkpoints: str  # a folder or URL
    dev_max_tokens: int
    steps: list[int]  # of each epoch
    longest: int  # tokens of the longest pack
    engine: str = "auto"
    offload: bool = False
    shares: bool = True  # examples that begin alike are computed together


def write_job(folder: Path, job: Job, schedule: Schedule, questions: Iterable[DevQuestion]) -> None:
    """Writes all that the workers read."""
    write_steps(folder / TRAIN, schedule.steps())
    write_steps(folder / VALIDATION, schedule.held_out)
    write_steps(folder / PROBES, schedule.probes)
    with (folder / DEV).open("w", encoding="utf-8") as file:
        for question in questions:
            file.write(json.dumps(dataclasses.asdict(question), ensure_ascii=False) + "\n")
    (folder / JOB).write_text(json.dumps(dataclasses.asdict(job)), encoding="utf-8")


def job_in(folder: Path) -> Job:
    """The job of a folder."""
    return Job(**json.loads((folder / JOB).read_text(encoding="utf-8")))


def feed_of(folder: Path) -> Feed:
    """The job's steps, read from its files."""
    return Feed(lambda: tables_of(folder / TRAIN), lambda: tables_of(folder / VALIDATION))


def _dev_questions(path: Path) -> list[DevQuestion]:
    with path.open(encoding="utf-8") as file:  # splitlines would also cut at U+2028, which texts hold
        rows = [json.loads(line) for line in file]
    return [
        DevQuestion(record_from(Question, row["question"]), tuple(Message(**m) for m in row["messages"]))
        for row in rows
    ]


def work(
    folder: Path,
    peers: Peers,
    device: str,
    feed: Feed | None = None,
    tell: Callable[[StepReport | Point], None] = lambda told: None,
) -> None:
    """Trains in `folder`. A failure of ours is written into the result: it would fail again however often it is retried.

    Where other workers wait for this one it is raised as well, for they would wait long; a worker that is started anew
    finds the result and is done. `feed`: where the steps come from, else the job's files; `tell`: called by the first worker.
    """
    if has_failed(folder):
        return
    try:
        _work(folder, peers, device, feed or feed_of(folder), tell)
    except MetierError as error:
        _write_result(folder, {"error": type(error).__name__, "text": str(error)})
        if peers.world > 1:
            raise


def reached(folder: Path) -> int:
    """The step from which the job would go on: that of its newest checkpoint, 0 without one."""
    state = checkpoints.newest(Storage(job_in(folder).checkpoints))
    return state["step"] if state else 0


def has_failed(folder: Path) -> bool:
    """Whether the job ended with a failure of ours."""
    return (folder / RESULT).exists() and "error" in json.loads((folder / RESULT).read_text(encoding="utf-8"))


def _work(folder: Path, peers: Peers, device: str, feed: Feed, tell: Callable[[StepReport | Point], None]) -> None:
    job = job_in(folder)
    recipe, tokenizer = Recipe(**job.recipe), load_tokenizer(job.base)
    storage = Storage(job.checkpoints)
    recipe = going_on(recipe, checkpoints.own(storage, job.identity), job.engine, storage.place)
    engine, fit = prepared(job.base, method_of(job.method), recipe, device, job.longest, peers, job.engine, job.offload)
    questions = _dev_questions(folder / DEV)
    run = Run(
        engine=engine,
        feed=feed,
        steps=job.steps,
        pad=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        storage=storage,
        recipe=recipe,
        identity=job.identity,
        fit=fit,
        dev_exam=dev_exam(questions, tokenizer, job.dev_max_tokens) if questions else None,
        tell=tell if peers.rank == 0 else lambda told: None,
    )
    rows, *sharing = steps_in(tables_of(folder / PROBES))
    if run.pieces.rows:
        refuse_mixed_rows(engine, run.pieces, rows)
    refuse_other_loss(engine, run.pieces, rows)
    if not _all(shares_beginnings(engine, run.pieces, [pack for packs in sharing for pack in packs]), engine):
        if peers.rank == 0:
            _write_result(folder, {"shares": False})
        return
    history = train(run)
    if peers.rank == 0:
        _finish(folder, run, tokenizer, history)


def going_on(recipe: Recipe, state: Mapping[str, Any] | None, engine: str, place: str) -> Recipe:
    """The recipe with the optimiser that a checkpoint was made by: another card, or more workers, would choose another.

    Raises InputError where the engine has no such optimiser. `place`: where the checkpoint lies.
    """
    if state is None:
        return recipe
    if state["optimiser"] == ADAM_8BIT and engine not in ("auto", DDP):
        raise InputError(
            f"checkpoints in {place} hold moments of 8 bits, with which engine {engine} can't go on: set "
            "resources.train.engine to ddp, or remove them to begin anew"
        )
    return recipe.model_copy(update={"optimiser": state["optimiser"]})


def _all(said: bool, engine: Engine) -> bool:
    """Whether every worker says so: what one alone decided would leave the others waiting."""
    import torch

    least = torch.tensor(float(said), device=engine.device)
    engine.peers.least_(least)
    return bool(least)


def method_of(tree: Mapping[str, Any]) -> AnyMethod:
    """The method that a JSON tree describes."""
    found: AnyMethod = TypeAdapter(Method).validate_python(tree)
    return found


def _finish(folder: Path, run: Run, tokenizer: Any, history: History) -> None:
    """Saves the best checkpoint's weights as PEFT and vLLM load them: an adapter, or a whole model."""
    best = best_point(history.points)
    state = checkpoints.complete(run.storage).get(best.step)
    if state is None or state["identity"] != run.identity:
        raise StepError(
            f"training: checkpoint {best.step} is not in {run.storage.place}: does another run write there?"
        )
    model, shapes = run.engine.model, run.engine.shapes()
    whole = not hasattr(model, "peft_config")
    dtype = base_dtype(run.engine.device)  # a whole model is served as a GPU serves it
    with checkpoints.opened(run.storage, state, checkpoints.WEIGHTS) as saved:
        # converted one by one: two copies of a large model are more than its host may hold
        kept = {name: saved[f"weight:{name}"].to(dtype if whole else None) for name in shapes}
        model.save_pretrained(folder / ADAPTER, state_dict=kept)
        if whole:
            _tell_as_written(folder / ADAPTER / "config.json", dtype)
    tokenizer.save_pretrained(folder / ADAPTER)
    _write_result(
        folder,
        {
            "history": history.as_json(),
            "best_step": best.step,
            "fit": run.fit.as_json() if run.fit else None,
            "trainable": sum(math.prod(shape) for shape in shapes.values()),
            "total": weights_in(model),
        },
    )


def _tell_as_written(file: Path, dtype: Any) -> None:
    """The library writes the type in which the model was trained, and that it may not use a cache."""
    told = json.loads(file.read_text(encoding="utf-8"))
    told |= {"dtype": str(dtype).removeprefix("torch."), "use_cache": True}
    file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _write_result(folder: Path, result: dict[str, Any]) -> None:
    partial = folder / f"{RESULT}.{os.getpid()}.partial"  # several workers may fail at once
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.rename(folder / RESULT)
