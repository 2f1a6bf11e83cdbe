"""Merges the trained adapter into its base: one plain model that every engine loads, and what merging cost.

The dev exam of training is sat by the adapter as it was trained, by the adapter beside the full base, and by the merged
model as it was written. The final half of the exam is never touched.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field

from metier.config import StageConfig
from metier.errors import InputError
from metier.execution.step import Context, Input, Stage
from metier.execution.tasks import Here, OnCluster, Tasks
from metier.lineage.manifest import Counts
from metier.models import ModelSource, resolve
from metier.records import Question
from metier.retrieval.embedding import EmbedderSource
from metier.stages import train
from metier.stages.dev_exam import dev_exam
from metier.training.attach import is_adapter
from metier.training.dev_exam import DevQuestion
from metier.training.merge import Onto
from metier.training.merge_exam import Job, merged_and_examined

MODEL, NUMBERS = "model", "merge.json"


class Config(StageConfig):
    """Onto which weights, and how long the exam before and after is."""

    onto: Onto = "full"
    """`full`: the base as it is stored. `rounded`: its weights rounded to 4 bits first, as qlora trained beside them; for an
    adapter that the full base does not suit."""
    exam_questions: int = Field(32, ge=0, le=10_000)
    """Questions of the dev half that are asked before and after; 0: logits alone are compared."""
    max_tokens: int = Field(48, ge=1, le=4096)
    """Longest answer, in tokens."""


def adapter_folder(location: str) -> Path:
    """What was trained, inside the train stage's output or the folder itself. Raises InputError where there is none."""
    for folder in (Path(location) / "adapter", Path(location)):
        if is_adapter(folder) or (folder / "config.json").exists():
            return folder
    raise InputError(f"adapter {location}: the folder holds no adapter_config.json; give the output of train")


def training_of(adapter: Path) -> dict[str, Any]:
    """Method, seed and passages of the training that left this folder, from the verdict beside it; empty for an adapter
    from elsewhere.

    An adapter's own description does not tell whether it was trained beside weights in 4 bits, and train's manifest does not
    tell which settings a search replaced.
    """
    told = adapter.parent / train.VERDICT
    found: dict[str, Any] = json.loads(told.read_text(encoding="utf-8")) if told.exists() else {}
    return found


def _questions(context: Context[Config], trained: dict[str, Any]) -> list[DevQuestion]:
    """The questions that training asked first, with the prompts that it asked them in."""
    number = context.config.exam_questions
    if not number or not context.has("questions"):
        return []
    usual = train.Config()
    seed, passages = (trained.get(name, getattr(usual, name)) for name in ("seed", "passages"))
    return dev_exam(context, number, seed, passages)


def run(context: Context[Config]) -> Counts:
    """Writes model/ and merge.json: how far logits moved, what was scored before and after, and the words for it."""
    config, resources = context.config, context.resources
    adapter, base = adapter_folder(context.location("adapter")), resolve(context.location("base"))
    context.progress(0, 0, "reading the models")
    trained = training_of(adapter)
    job = Job(
        base=Path(base),
        adapter=adapter,
        output=context.output.path(MODEL),
        method=trained.get("method", ""),
        onto=config.onto,
        questions=_questions(context, trained) if is_adapter(adapter) else (),
        max_tokens=config.max_tokens,
        device="cuda" if resources.gpus else "cpu",
    )
    # A GPU is another process's: on the node that has one, and free again when it ends.
    tasks: Tasks = OnCluster(resources.cpus, resources.gpus) if resources.gpus else Here()
    arguments = (job,) if resources.gpus else (job, context.progress)
    (found,) = tasks.results([tasks.call(merged_and_examined, *arguments)])
    context.output.json(NUMBERS, found)
    context.progress(1, 1, found["text"])
    return Counts()


STAGE = Stage(
    name="merge",
    revision=3,
    summary="Merges the adapter into its base, and examines what that cost.",
    config=Config,
    inputs={
        "adapter": Input("output of train, or a folder with a PEFT adapter"),
        "base": Input("base model that the adapter was trained on: a name, a folder or a hub id", opens=ModelSource),
        "questions": Input("exam questions; the dev half is sat before and after", record=Question, optional=True),
        "index": Input("output of the index stage, for the dev exam", optional=True),
        "embedder": Input("embedding model of the index", optional=True, opens=EmbedderSource),
    },
    outputs={
        MODEL: "the merged model with tokenizer and chat template",
        NUMBERS: "what merging cost, in numbers and words",
    },
    run=run,
)
