"""Trains on the blended dialogues, watched by validation loss and a dev exam at each checkpoint.

An adapter by default: beside weights in full precision, or in 4 bits (`qlora`: an 8B model in 24 GB); or all weights (`full`).
On a GPU the rows, the layers that are computed twice and the optimiser follow from the card's own memory and speed; what was
chosen, predicted and measured stands in verdict.json.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from metier.config import TrainResources, expanded, is_url
from metier.errors import InputError
from metier.execution.step import Context, Input, Source, Stage, Step
from metier.execution.train_task import Task, trained
from metier.execution.training import Told
from metier.lineage.artifact import Artifact
from metier.lineage.manifest import Counts
from metier.models import ModelSource, folder_here, resolve
from metier.records import Dialogue, Question, Rejection
from metier.retrieval.embedding import EmbedderSource
from metier.stages.dev_exam import dev_exam
from metier.training import worker
from metier.training.attach import is_adapter
from metier.training.base_files import context_of
from metier.training.course import Facts, History, Point
from metier.training.dev_exam import DevQuestion
from metier.training.diversity import neighbour_share, spoken
from metier.training.encoding import Example, encoded, end_tokens, refuse_endless
from metier.training.fit import ADAM_8BIT
from metier.training.meter import Meter, Work
from metier.training.model import LoraMethod, Method
from metier.training.recipe import Recipe
from metier.training.refusals import (
    reasons_of,
    refuse_long_context,
    refuse_long_prompts,
    refuse_unfit_base,
    refuse_unfit_files,
)
from metier.training.shape import Shape
from metier.training.sharding import sharding_of
from metier.training.space import of_train, settled
from metier.training.tracking import Identity, Tracking, opened, refuse_missing, tracking_folder
from metier.training.verdict import findings, verdict

HISTORY, VERDICT = "history.json", "verdict.json"


class Config(Recipe):
    """Method, recipe and watch."""

    method: Method = LoraMethod()
    """Which weights are trained."""
    max_tokens: int = Field(1024, ge=16, le=131_072)
    """Longer dialogues are rejected, never cut."""
    dev_questions: int = Field(32, ge=0, le=10_000)
    """Questions of the dev exam at each checkpoint; 0: validation loss alone."""
    dev_max_tokens: int = Field(48, ge=1, le=4096)
    """Longest answer in the dev exam, in tokens."""
    passages: int = Field(3, ge=1, le=50)
    """Passages in a dev exam prompt; the same number as in serving."""

    def recipe(self) -> Recipe:
        """The recipe alone."""
        return Recipe(**{name: getattr(self, name) for name in Recipe.model_fields})


def known_before(kept: Sequence[Dialogue], dev: Sequence[DevQuestion]) -> Facts:
    """What a verdict needs beside the course: how alike the examples are, and what the dev exam asks for."""
    asked = [one.question for one in dev]
    return Facts(
        neighbour_share=round(neighbour_share(spoken(kept)), 4),
        dev_questions=len(asked),
        reference_words=statistics.fmean(len(q.reference.split()) for q in asked) if asked else None,
        unanswerable_share=statistics.fmean(not q.answerable for q in asked) if asked else None,
    )


def _validation(context: Context[Config]) -> list[Dialogue]:
    source = context.inputs["dialogues"]
    if isinstance(source, Artifact) and any(f.path.startswith("validation.parquet") for f in source.manifest.files):
        return list(source.records(Dialogue, "validation"))
    return []


def check(step: Step) -> None:
    """Refuses at the plan, by config, resources, tokenizer and names, what training would refuse; a base that is to be
    fetched is looked at by `run`."""
    config, on = step.config, step.resources
    if not isinstance(config, Config) or not isinstance(on, TrainResources):
        return
    refuse_apart(config, on)
    refuse_missing(on.track)
    _refuse_file(on.checkpoints)
    check_base(step.inputs["base"], config)


def refuse_apart(config: Config, on: TrainResources) -> None:
    """Raises InputError for settings and resources that exclude each other."""
    sharding_of(on.engine, config.method, on.workers, on.offload, config.optimiser)
    if config.optimiser == ADAM_8BIT and not on.gpus:
        raise InputError(
            f"train.optimiser {ADAM_8BIT} needs a GPU, and resources.train.gpus is 0: set gpus to 1, or leave it at auto"
        )


def _refuse_file(checkpoints: str) -> None:
    """Raises InputError for a folder of checkpoints that can't be made, as a file stands in its place or above it."""
    if not checkpoints or is_url(checkpoints):
        return
    folder = expanded(checkpoints).absolute()
    there = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    if not there.is_dir():
        raise InputError(f"resources.train.checkpoints {checkpoints}: {there} is a file: name a folder")


def check_base(base: Step | Source, config: Config) -> None:
    """Refuses a base that is here and can't be trained so."""
    folder = folder_here(base.location) if isinstance(base, ModelSource) else None
    if not folder:
        return
    tokenizer_of(str(folder), config)
    longest = context_of(str(folder))
    if config.dev_questions and 0 < longest <= config.dev_max_tokens:  # a prompt stands before the answer
        raise InputError(
            f"train.dev_max_tokens {config.dev_max_tokens} leaves a prompt of the dev exam nothing of the {longest} tokens "
            "that the base can read: lower it"
        )


def tokenizer_of(base: str, config: Config) -> Any:
    """The tokenizer of a base that can be trained so. Reads no weights. Raises InputError for one that can't."""
    from metier.inference.transformers_engine import load_tokenizer

    refuse_unfit_files(base)
    refuse_long_context(base, config.max_tokens)
    tokenizer = load_tokenizer(base)
    refuse_unfit_base(base, config.method, tokenizer)
    refuse_endless(tokenizer, end_tokens(base, tokenizer))
    return tokenizer


def run(context: Context[Config]) -> Counts:
    """Writes adapter/ (the best checkpoint), history.json and verdict.json; goes on from a killed attempt's checkpoint."""
    if context.has("settings"):
        context = dataclasses.replace(context, config=settled(context.config, context.location("settings"), of_train))
    config, base = context.config, resolve(context.location("base"))
    tokenizer = tokenizer_of(base, config)
    ends = end_tokens(base, tokenizer)
    train, kept, lost = encoded(context.records("dialogues", Dialogue), tokenizer, config.max_tokens, ends)
    held_out, watched, lost_too = encoded(_validation(context), tokenizer, config.max_tokens, ends)
    if not train:
        raise InputError(
            f"{context.step}: no dialogue of at most {config.max_tokens} tokens to train on ({reasons_of(lost)})"
        )
    asked = dev_exam(context, config.dev_questions, config.seed, config.passages)
    refuse_long_prompts(((q.question.id, q.messages) for q in asked), tokenizer, config.dev_max_tokens, base)
    assert isinstance(context.resources, TrainResources)
    task = Task(
        base=base,
        fingerprint=context.fingerprint("base"),
        method=config.method,
        recipe=config.recipe(),
        train=train,
        held_out=held_out,
        questions=asked,
        dev_max_tokens=config.dev_max_tokens,
    )
    with _tracking(context, base) as tracking:
        result = trained(task, context.resources, context.output.work, _hearing(context, tracking))
        said = _write_outputs(context, context.output.work, result, train, known_before(kept, asked))
        tracking.close(said)
    context.output.table("kept", Dialogue, kept)
    context.output.table("rejected", Rejection, [*lost, *lost_too])
    taken, left = len(kept) + len(watched), collections.Counter(one.reason for one in (*lost, *lost_too))
    return Counts(read=taken + left.total(), kept=taken, rejected=dict(sorted(left.items())))


@contextlib.contextmanager
def _tracking(context: Context[Config], base: str) -> Iterator[Tracking]:
    """Where the course is written; a training that fails or is killed is told so there too."""
    config, on = context.config, context.resources
    assert isinstance(on, TrainResources)
    shape, folder = Shape.of(base), context.output.folder.absolute()
    meter = Meter(
        work=Work.of(shape, config.method) if shape else None, workers=on.workers, usd_per_hour=on.usd_per_hour
    )
    identity = Identity(context.step, folder.name, config.identity(), {"base model": context.fingerprint("base")})
    tracking = opened(on.track, tracking_folder(folder, context.step), identity, meter)
    try:
        yield tracking
    except BaseException as error:
        tracking.close("", killed=not isinstance(error, Exception))
        raise


def _hearing(context: Context[Config], tracking: Tracking) -> Callable[[Told], None]:
    def hear(told: Told) -> None:
        if isinstance(told, Point):
            tracking.point(told)
            return
        pace = tracking.step(told)
        spent = f", {pace.cost_usd:,.2f} USD" if pace.cost_usd else ""
        what = f"steps, loss {told.loss:.3f}, {pace.tokens_per_second:,.0f} tokens/s{spent}"
        context.progress(told.step, told.steps, what)

    return hear


def _write_outputs(
    context: Context[Config], folder: Path, result: dict[str, Any], train: list[Example], facts: Facts
) -> str:
    """Writes what training left behind; gives the verdict."""
    history = History.from_json(result["history"])
    shutil.copytree(folder / worker.ADAPTER, context.output.path(worker.ADAPTER))
    if is_adapter(context.output.path(worker.ADAPTER)):
        _without_paths(context.output.path(worker.ADAPTER) / "adapter_config.json")
    (context.output.path(worker.ADAPTER) / "README.md").unlink(missing_ok=True)
    context.output.json(HISTORY, history.as_json())
    tokens, config = sum(len(e.ids) for e in train), context.config
    summary = {
        "text": verdict(history, facts),
        "findings": [dataclasses.asdict(finding) for finding in findings(history, facts)],
        **dataclasses.asdict(facts),
        "best_step": result["best_step"],
        "stopped_early": history.stopped_early,
        "trainable": result["trainable"],
        "total": result["total"],
        "tokens_per_epoch": tokens,
        "fit": result["fit"],
        "method": config.method.method,  # of the settings that tune may have replaced: the manifest has those given
        "seed": config.seed,
        "passages": config.passages,
    }
    context.output.json(VERDICT, summary)
    return str(summary["text"])


def _without_paths(file: Path) -> None:
    """The adapter names its base by path; an artifact holds no path, and `merge` is given the base anyway."""
    described = json.loads(file.read_text(encoding="utf-8"))
    described["base_model_name_or_path"] = None
    for name, value in described.items():
        if isinstance(value, list):  # PEFT writes sets: their order differs from process to process
            described[name] = sorted(value)
    file.write_text(json.dumps(described, indent=1, sort_keys=True) + "\n", encoding="utf-8")


STAGE = Stage(
    name="train",
    revision=6,
    summary="Trains an adapter (LoRA, QLoRA) or all weights on Ray Train, with a dev exam at each checkpoint.",
    config=Config,
    inputs={
        "dialogues": Input("the blend: its table `kept` trains, its table `validation` is held out", record=Dialogue),
        "questions": Input("exam questions; the dev half is sat at each checkpoint", record=Question),
        "index": Input("output of the index stage, for the dev exam", optional=True),
        "embedder": Input("embedding model of the index", optional=True, opens=EmbedderSource),
        "base": Input("base model: a name, a folder or a hub id", opens=ModelSource),
        "settings": Input("output of tune; the winner's settings of train replace those given", optional=True),
    },
    outputs={
        "adapter": "the best checkpoint; after full training the whole model",
        HISTORY: "losses and checkpoints",
        VERDICT: "what happened, in words",
        "kept": Dialogue,  # what was trained on; the counts hold the validation dialogues too
        "rejected": Rejection,
    },
    run=run,
    conserves=True,
    resources=TrainResources,
    check=check,
)
