"""Sits a model down to the exam, through the engine that would serve it, and grades what it answers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from metier.config import StageConfig
from metier.errors import InputError, StepError
from metier.evaluation.graders import grade
from metier.execution.generation import generate
from metier.execution.step import Context, Input, Stage
from metier.inference.engines import EngineConfig, VllmEngine
from metier.inference.protocol import Request, Response
from metier.lineage.manifest import Counts
from metier.models import ModelSource
from metier.records import Dialogue, Grade, Passage, Question, Split, record_id
from metier.retrieval.embedding import Embedder, EmbedderSource
from metier.retrieval.index import Retriever
from metier.retrieval.prompt import prompt_messages
from metier.stages.index import FOLDER as INDEX

Mode = Literal["closed_book", "few_shot", "retrieval"]
LABELS: dict[Mode, str] = {"closed_book": "", "few_shot": "+few-shot", "retrieval": "+retrieval"}
# Few-shot examples show these tasks first, so that the baseline has seen each form of answer that the exam wants.
EXAMPLE_TASKS = ("default", "json", "purpose", "unanswerable", "which", "type", "parameters")
MAX_EXAMPLE_WORDS = 60  # question and answer of a few-shot example together
MAX_FAILED = 0.01  # share of requests that may fail before the exam counts for nothing


class Config(StageConfig):
    """How the exam is sat."""

    candidate: str = Field("model", pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Name of the model in the grades."""
    modes: tuple[Mode, ...] = ("closed_book", "retrieval")
    """How it is prompted."""
    splits: tuple[Split, ...] = ("final",)
    """Which half of the exam."""
    passages: int = Field(3, ge=1, le=50)
    """Passages put into the prompt in retrieval mode."""
    examples: int = Field(4, ge=1, le=50)
    """Example answers put into the prompt in few-shot mode, of different tasks."""
    max_tokens: int = Field(64, ge=1, le=4096)
    """Longest answer, in tokens."""
    engine: EngineConfig = VllmEngine(max_model_len=2048)
    """The engine that answers."""


def model_folder(location: str) -> str:
    """The model inside another stage's output, or the location itself."""
    inner = Path(location) / "model"
    return str(inner) if inner.is_dir() else location


def examples_from(dialogues: Iterable[Dialogue], number: int) -> list[tuple[str, str]]:
    """Question and answer of `number` short train dialogues, of as many tasks as there are, always the same ones."""
    by_task: dict[str, list[Dialogue]] = {}
    for one in sorted((d for d in dialogues if d.split == "train" and _is_short(d)), key=lambda d: d.id):
        by_task.setdefault(one.task, []).append(one)
    tasks = sorted(by_task, key=lambda t: (EXAMPLE_TASKS.index(t) if t in EXAMPLE_TASKS else len(EXAMPLE_TASKS), t))
    rounds = itertools.zip_longest(*(by_task[task] for task in tasks))
    ranked = [one for row in rounds for one in row if one is not None]
    return [(d.question, d.answer) for d in ranked[:number]]


def _is_short(dialogue: Dialogue) -> bool:
    return len(f"{dialogue.question} {dialogue.answer}".split()) <= MAX_EXAMPLE_WORDS


def run(context: Context[Config]) -> Counts:
    """Writes a grade for every question and mode. A format that this machine can't execute is not examined."""
    config = context.config
    model = context.location("model")
    described = Path(model) / "quantise.json"
    if described.exists() and not json.loads(described.read_text(encoding="utf-8"))["executable"]:
        context.output.table("kept", Grade, ())
        return Counts()
    questions = [q for q in context.records("questions", Question) if q.split in config.splits]
    if not questions:
        raise InputError(f"{context.step}: the exam has no question of the split {', '.join(config.splits)}")
    passages = _retrieved(context, questions)
    requests = _requests(context, questions, passages)
    engine_answers = generate(
        list(requests.values()), config.engine, model_folder(model), context.resources, context.progress
    )
    responses = {r.id: r for r in engine_answers}
    _refuse_failures(context.step, responses, len(requests))
    grades = [
        _graded(config.candidate, mode, question, passages.get(question.id, []), responses[request.id])
        for mode in config.modes
        for question in questions
        for request in [requests[mode, question.id]]
    ]
    rows = context.output.table("kept", Grade, grades)
    return Counts(read=len(requests), kept=rows)


def _retrieved(context: Context[Config], questions: Sequence[Question]) -> dict[str, list[Passage]]:
    if "retrieval" not in context.config.modes:
        return {}
    if not (context.has("index") and context.has("embedder")):
        raise InputError(f"{context.step}: the mode retrieval needs the inputs index and embedder")
    retriever = Retriever(Path(context.location("index")) / INDEX, Embedder(context.location("embedder")))
    found = retriever.search_many([q.prompt for q in questions], context.config.passages)
    return {q.id: hits for q, hits in zip(questions, found, strict=True)}


def _requests(
    context: Context[Config], questions: Sequence[Question], passages: dict[str, list[Passage]]
) -> dict[tuple[Mode, str], Request]:
    """One request for every mode and question. Their ids hold only what the answer depends on."""
    config = context.config
    shots: list[tuple[str, str]] = []
    if "few_shot" in config.modes:
        pool = context.records("dialogues", Dialogue) if context.has("dialogues") else iter(())
        shots = examples_from(pool, config.examples)
        if not shots:
            raise InputError(
                f"{context.step}: the mode few_shot needs the input dialogues, with some of the train split"
            )
    requests: dict[tuple[Mode, str], Request] = {}
    for mode in config.modes:
        for question in questions:
            messages = prompt_messages(
                question.prompt,
                passages[question.id] if mode == "retrieval" else (),
                examples=shots if mode == "few_shot" else (),
            )
            one = record_id("request", [mode, question.id])
            requests[mode, question.id] = Request(id=one, messages=messages, max_tokens=config.max_tokens)
    return requests


def _refuse_failures(step: str, responses: dict[str, Response], asked: int) -> None:
    if len(responses) < asked:
        raise StepError(f"{step}: {asked - len(responses)} of {asked} questions came back without an answer")
    failed = [r for r in responses.values() if r.error]
    if len(failed) > MAX_FAILED * asked:
        raise StepError(f"{step}: {len(failed)} of {asked} answers failed, the first with: {failed[0].error}")


def _graded(candidate: str, mode: Mode, question: Question, passages: list[Passage], response: Response) -> Grade:
    shown = passages if mode == "retrieval" else []
    scores = grade(question, response.text)
    return question.derive(
        Grade,
        question_id=question.id,
        candidate=candidate + LABELS[mode],
        slice=question.slice,
        split=question.split,
        prompt=question.prompt,
        reference=question.reference,
        answer=response.text,
        correctness=scores.correctness,
        completeness=scores.completeness,
        format=scores.format,
        score=scores.score,
        passage_ids=tuple(p.id for p in shown),
        gold_retrieved=any(p.root_id == question.root_id or p.uri == question.uri for p in shown),
        prompt_tokens=response.prompt_tokens,
        completion_tokens=response.completion_tokens,
    )


STAGE = Stage(
    name="exam",
    revision=1,
    summary="Examines a model through the engine that would serve it, and grades every answer.",
    config=Config,
    inputs={
        "questions": Input("exam questions", record=Question),
        "model": Input("model: a name, a folder, a hub id, or the output of merge or quantise", opens=ModelSource),
        "index": Input("output of the index stage, for retrieval mode", optional=True),
        "embedder": Input("embedding model of the index", optional=True, opens=EmbedderSource),
        "dialogues": Input("closed-book pairs that few-shot examples are taken from", record=Dialogue, optional=True),
    },
    outputs={"kept": Grade},
    run=run,
)
