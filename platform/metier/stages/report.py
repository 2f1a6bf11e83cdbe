"""Writes the report: one self-contained HTML page that tells what was made, from what, and whether it should ship."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from metier.config import StageConfig
from metier.errors import InputError
from metier.execution.step import Context, Input, Stage
from metier.lineage.artifact import Artifact
from metier.lineage.fingerprint import digest
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Document, Grade, Passage, Question, Rejection, Trial
from metier.reporting.exam import decision_from
from metier.reporting.examples import rejected_rows
from metier.reporting.gather import (
    Format,
    Material,
    Served,
    StepFacts,
    corpus_of,
    course_of,
    makeup_of,
    merging_of,
    story_of,
)
from metier.reporting.page import render
from metier.reporting.tuning import tuning_of

OUTPUT = "report.html"
REJECTED_ROWS = 3  # shown of each reason


class Config(StageConfig):
    """What the page is called and how much it shows."""

    title: str = Field("A specialist model", min_length=1, max_length=120)
    """Its name on the page."""
    audience: str = Field("", max_length=120)
    """For whom it is made; shown beside the title."""
    examples: int = Field(4, ge=0, le=100)
    """Examples of each kind: wins, losses, no difference."""
    seed: int = Field(0, ge=0)
    """Another seed draws other examples."""
    price_per_hour_usd: float = Field(0, ge=0, le=100_000)
    """What an hour of the machine costs; the cost of a step is its wall time times this."""


def facts_of(artifact: Artifact) -> StepFacts:
    """A step's manifest and newest receipt in short."""
    manifest = artifact.manifest
    receipt = (artifact.receipts() or [{}])[-1]
    machine = receipt.get("machine", {})
    return StepFacts(
        step=manifest.step,
        stage=manifest.stage,
        revision=manifest.revision,
        key=artifact.folder.name,
        content=manifest.content,
        size=sum(f.bytes for f in manifest.files),
        read=manifest.counts.read,
        kept=manifest.counts.kept,
        rejected=manifest.counts.rejected,
        seconds=receipt.get("seconds"),
        started=receipt.get("started", ""),
        machine=f"{machine['cpus']} CPUs, {machine['processor']}" if machine else "",
        git=receipt.get("git", ""),
        versions=receipt.get("versions", {}),
    )


def _artifacts(context: Context[Config]) -> list[Artifact]:
    """All inputs that are artifacts, each once, in the order in which they ran."""
    found = {a.folder: a for a in context.inputs.values() if isinstance(a, Artifact)}
    return sorted(found.values(), key=lambda a: (a.receipts() or [{}])[-1].get("started", ""))


def _rejections(artifacts: list[Artifact]) -> Iterator[Rejection]:
    for artifact in artifacts:
        if any(f.path.startswith("rejected.parquet") for f in artifact.manifest.files):
            yield from artifact.records(Rejection, "rejected")


def _json(context: Context[Config], name: str, file: str) -> Any:
    path = Path(context.location(name)) / file
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        about = context.stage.input(name).about
        raise InputError(f"{context.step}: input {name} has no {file}; it takes the {about}") from None


def _format(described: dict[str, Any]) -> Format:
    return Format(
        described["format"],
        described["executable"],
        described["why"],
        described["bytes_before"],
        described["bytes_after"],
    )


def _base(context: Context[Config]) -> str:
    """The base model by name where it came by name, else by the digest of its folder."""
    source = context.inputs["train"]
    fingerprint = source.manifest.inputs.get("base", "") if isinstance(source, Artifact) else ""
    if "@" in fingerprint:
        return fingerprint.split("@")[0]
    return f"a local model ({fingerprint[:8]})" if fingerprint else "an unnamed model"


def _validation_rows(context: Context[Config]) -> int:
    source = context.inputs["blended"]
    files = source.manifest.files if isinstance(source, Artifact) else ()
    return sum(f.rows or 0 for f in files if f.path.startswith("validation.parquet"))


def _served(context: Context[Config]) -> list[Served]:
    if not context.has("smoke"):
        return []
    answers = _json(context, "smoke", "smoke.json")["answers"]
    return [Served(a["question"], a["answer"], len(a["citations"])) for a in answers]


def material(context: Context[Config]) -> Material:
    """Everything that the page is made of, read from the inputs."""
    config, artifacts = context.config, _artifacts(context)
    gate = context.inputs["gate"]
    rule = gate.manifest.config if isinstance(gate, Artifact) else {}
    return Material(
        title=config.title,
        audience=config.audience,
        base=_base(context),
        price_per_hour_usd=config.price_per_hour_usd,
        example_count=config.examples,
        seed=config.seed,
        keep_ratio=rule.get("keep_ratio", 0.95),
        min_slice=rule.get("min_slice", 10),
        corpus=corpus_of(context.records("documents", Document)),
        makeup=makeup_of(context.records("blended", Dialogue), _validation_rows(context)),
        steps=[facts_of(a) for a in artifacts],
        questions=list(context.records("questions", Question)),
        grades=[g for part in context.parts("exams") for g in context.records(part, Grade)],
        decision=decision_from(_json(context, "gate", "gate.json")),
        course=course_of(_json(context, "train", "history.json"), _json(context, "train", "verdict.json")),
        formats=[_format(_json(context, part, "quantise.json")) for part in context.parts("quantised")],
        rejected=rejected_rows(_rejections(artifacts), REJECTED_ROWS, config.seed),
        review=_json(context, "reviewed", "review.json") if context.has("reviewed") else {},
        served=_served(context),
        merging=merging_of(_json(context, "merge", "merge.json")) if context.has("merge") else None,
        tuning=tuning_of(list(context.records("tune", Trial)), _json(context, "tune", "search.json"))
        if context.has("tune")
        else None,
    )


def run(context: Context[Config]) -> Counts:
    """Writes report.html. It tells times, so its bytes differ from build to build; what it is made of identifies it."""
    try:
        story = story_of(material(context))
    except ValueError as error:
        raise InputError(f"{context.step}: {error}: give all exams of this gate") from None
    context.output.path(OUTPUT).write_text(render(story), encoding="utf-8")
    made_of = {name: context.fingerprint(name) for name in context.inputs}
    context.output.content(OUTPUT, digest({"inputs": made_of, "config": context.config.identity()}))
    return Counts()


def _dialogues(about: str) -> Input:
    return Input(about, record=Dialogue, optional=True)


STAGE = Stage(
    name="report",
    revision=3,
    summary="Tells the whole experiment on one self-contained HTML page.",
    config=Config,
    inputs={
        "documents": Input("split documents", record=Document),
        "passages": Input("passages of the documents", record=Passage, optional=True),
        "synthesised": _dialogues("output of synthesise"),
        "deduplicated": _dialogues("output of deduplicate"),
        "filtered": _dialogues("output of filter"),
        "reviewed": _dialogues("output of review, with its review.json"),
        "decontaminated": _dialogues("output of decontaminate"),
        "blended": Input("output of blend", record=Dialogue),
        "questions": Input("exam questions", record=Question),
        "train": Input("output of train"),
        "tune": Input("output of tune", record=Trial, table="trials", optional=True),
        "merge": Input("output of merge", optional=True),
        "exams": Input("grades of every candidate", record=Grade, many=True),
        "quantised": Input("output of quantise, for each format", many=True, optional=True),
        "gate": Input("output of gate"),
        "release": Input("output of register", optional=True),
        "smoke": Input("output of smoke", optional=True),
        "others": Input("further steps, whose counts, time and lineage are told", many=True, optional=True),
    },
    outputs={OUTPUT: "the page"},
    run=run,
)
