"""Serves the release as it will be served, asks it a few questions over HTTP, and takes it down again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from metier.config import StageConfig
from metier.errors import InputError
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Question
from metier.serving.keys import api_key
from metier.serving.local import serving
from metier.serving.release import open_release
from metier.serving.settings import ServeSettings
from metier.serving.smoke import ask

OUTPUT = "smoke.json"


class Config(StageConfig):
    """What is asked."""

    questions: tuple[str, ...] = ()
    """The questions; empty: some of the exam's final half."""
    answerable: int = Field(3, ge=0, le=1000)
    """Exam questions that the documents answer, of different tasks."""
    unanswerable: int = Field(1, ge=0, le=1000)
    """Exam questions that they don't."""


def chosen(questions: Iterable[Question], config: Config) -> list[str]:
    """The questions to ask: those of the config, else some of the final half, always the same ones."""
    if config.questions:
        return list(config.questions)
    final = sorted((q for q in questions if q.split == "final"), key=lambda q: q.id)
    by_task: dict[tuple[bool, str, int], Question] = {}
    for one in final:
        place = sum(1 for answerable, task, _ in by_task if (answerable, task) == (one.answerable, one.task))
        by_task[one.answerable, one.task, place] = one
    ranked = [by_task[place] for place in sorted(by_task, key=lambda place: (place[2], place[1]))]
    known = [q.prompt for q in ranked if q.answerable][: config.answerable]
    return known + [q.prompt for q in ranked if not q.answerable][: config.unanswerable]


def run(context: Context[Config]) -> Counts:
    """Writes smoke.json: question, answer and citations. How long answers took is said, not kept."""
    folder = Path(context.location("release"))
    store = folder.parents[1]
    release = open_release(store, folder.relative_to(store).as_posix())
    questions = chosen(context.records("questions", Question), context.config)
    if not questions:
        raise InputError(
            f"{context.step}: there is nothing to ask: no exam question of the final half, and none is set"
        )

    def heard(number: int, seconds: float) -> None:
        context.progress(number, len(questions), f"questions, first token after {seconds:.2f} s")

    settings = ServeSettings(store=str(store), release=release.key, gpus=int(context.resources.gpus))
    with serving(settings, release, say=lambda what: context.progress(0, len(questions), what)) as address:
        answers = ask(address, api_key(store), release.name, release.index, questions, heard)
    context.output.json(OUTPUT, {"format": release.format, "answers": [dataclasses.asdict(a) for a in answers]})
    return Counts(read=len(questions), kept=len(answers))


STAGE = Stage(
    name="smoke",
    revision=1,
    summary="Serves the release, asks it over HTTP, checks key and citations, and stops it.",
    config=Config,
    inputs={
        "release": Input("output of the register stage, in its store"),
        "questions": Input("exam questions", record=Question),
    },
    outputs={OUTPUT: "questions, answers, citations"},
    run=run,
)
