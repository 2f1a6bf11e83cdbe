"""Decides from the grades whether the model may ship, and in which format. It writes the decision; `register` obeys it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from pydantic import Field

from metier.config import StageConfig
from metier.errors import InputError
from metier.evaluation.gate import FormatVerdict, by_candidate, compare, decide, format_verdict
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Grade

OUTPUT = "gate.json"
RETRIEVING = "+retrieval"  # the shape in which a model is served


class Config(StageConfig):
    """What a release must reach."""

    keep_ratio: float = Field(0.95, ge=0, le=1)
    """Share of the unquantised score that a quantised model must keep, overall and in each slice."""
    min_slice: int = Field(10, ge=1, le=10_000)
    """Slices with fewer questions are shown, but decide nothing."""
    require_improvement: bool = True
    """Refuse a model, or a format of it, whose gain over the best baseline may be zero (95 % interval)."""


def _verdict(
    context: Context[Config], grades: str, model: str, whole: dict[str, Grade], baselines: dict[str, dict[str, Grade]]
) -> FormatVerdict:
    described = json.loads((Path(context.location(model)) / "quantise.json").read_text(encoding="utf-8"))
    name = described["format"]
    if not described["executable"]:
        return FormatVerdict(name, "", executable=False, passed=False, why=described["why"])
    found = by_candidate(list(context.records(grades, Grade)))
    small = next((g for label, g in sorted(found.items()) if label.endswith(RETRIEVING)), None)
    if small is None:
        raise InputError(f"{context.step}: {grades} holds no grades with retrieval for {name}")
    kept = format_verdict(
        name,
        small,
        whole,
        keep_ratio=context.config.keep_ratio,
        min_slice=context.config.min_slice,
        bytes_=described["bytes_after"],
    )
    if not (kept.passed and context.config.require_improvement):
        return kept
    # what ships must itself be surely better, not only near to something that is
    worst = min(
        (compare(small, g, (kept.candidate, b)) for b, g in baselines.items()), key=lambda c: c.low, default=None
    )
    if worst is None or worst.low > 0:
        return kept
    why = f"{kept.why}, but does not surely beat {worst.baseline}: {worst.difference:+.3f} (from {worst.low:+.3f})"
    return dataclasses.replace(kept, passed=False, why=why)


def run(context: Context[Config]) -> Counts:
    """Writes gate.json: passed, why, which format ships, and all comparisons."""
    tuned = by_candidate(list(context.records("tuned", Grade)))
    label = next((name for name in sorted(tuned) if name.endswith(RETRIEVING)), None)
    if label is None:
        raise InputError(f"{context.step}: the tuned model was not examined with retrieval")
    baselines = by_candidate(list(context.records("baseline", Grade)))
    comparisons = [compare(tuned[label], grades, (label, name)) for name, grades in sorted(baselines.items())]
    pairs = zip(context.parts("quantised"), context.parts("models"), strict=True)
    formats = [_verdict(context, grades, model, tuned[label], baselines) for grades, model in pairs]
    decision = decide(comparisons, formats, tuned=label, require_improvement=context.config.require_improvement)
    context.output.json(OUTPUT, dataclasses.asdict(decision))
    return Counts()


STAGE = Stage(
    name="gate",
    revision=1,
    summary="Decides whether the model may ship, and in which format.",
    config=Config,
    inputs={
        "tuned": Input("grades of the tuned, unquantised model", record=Grade),
        "baseline": Input("grades of the prompted base model", record=Grade),
        "quantised": Input("grades of each quantised model", record=Grade, many=True, optional=True),
        "models": Input("the quantise stage's output for each of them, in the same order", many=True, optional=True),
    },
    outputs={OUTPUT: "passed, why, ships, comparisons, formats"},
    run=run,
)
