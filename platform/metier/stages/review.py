"""Draws the sample that experts look at, and lets their verdicts act on the data.

Rows that nobody reviewed pass, and review.json says how many did. A verdict names its dialogue by `record_id`, which stands
in the sample; any dialogue of the input may be judged, sampled or not.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from metier.config import StageConfig
from metier.errors import InputError
from metier.execution.dataflow import write_outcome
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.lineage.plain import read_plain
from metier.lineage.source import PathSource
from metier.records import Dialogue, Message, Rejection, Verdict, record_id, rejection

SAMPLE, SUMMARY = "sample.jsonl", "review.json"
EXPERT_REJECT = "expert_reject"


class Config(StageConfig):
    """The sample for the experts."""

    sample_size: int = Field(50, ge=0, le=100_000)
    """Dialogues to look at; tasks and sources take turns, so that none is overlooked."""
    seed: int = Field(0, ge=0)
    """Another seed draws another sample."""


def sample_of(dialogues: Sequence[Dialogue], config: Config) -> list[Dialogue]:
    """A stratified sample: in each round one of every (task, source), the order within one by a seeded digest."""
    strata: dict[tuple[str, str], list[Dialogue]] = {}
    for one in sorted(dialogues, key=lambda d: record_id("sample", [config.seed, d.id])):
        strata.setdefault((one.task, one.source), []).append(one)
    ranked = [
        (place, key, rows[place]) for key, rows in strata.items() for place in range(min(len(rows), config.sample_size))
    ]
    return [row for _, _, row in sorted(ranked, key=lambda r: (r[0], r[1]))[: config.sample_size]]


def judged(one: Dialogue, verdict: Verdict | None) -> Dialogue | Rejection:
    """The dialogue after an expert's verdict."""
    if verdict is None:
        return one
    if verdict.decision == "reject":
        return rejection(one, "review", EXPERT_REJECT, f"{verdict.reviewer}: {verdict.comment or 'no comment'}")
    if verdict.decision == "accept":
        return one.derive(Dialogue, reviewed="accepted")
    turns = list(one.messages)
    last = max(i for i, m in enumerate(turns) if m.role == "assistant")
    turns[last] = Message(role="assistant", content=verdict.answer)
    return one.derive(Dialogue, messages=tuple(turns), reviewed="edited")


def read_verdicts(path: Path, known: set[str]) -> dict[str, Verdict]:
    """Verdicts by record id. Raises InputError for an unknown row, two verdicts on one row, or an edit without answer."""
    found: dict[str, Verdict] = {}
    for number, verdict in enumerate(read_plain(Verdict, path), 1):
        if verdict.record_id not in known:
            raise InputError(f"{path}, row {number}: no dialogue has the id {verdict.record_id!r} (see {SAMPLE})")
        if verdict.record_id in found:
            raise InputError(f"{path}, row {number}: a second verdict on {verdict.record_id}")
        if verdict.decision == "edit" and not verdict.answer.strip():
            raise InputError(f"{path}, row {number}: an edit needs the corrected `answer`")
        found[verdict.record_id] = verdict
    return found


def line_of(one: Dialogue) -> str:
    """A dialogue as a line of the sample, for people."""
    shown = {"record_id": one.id, "task": one.task, "source": one.source, "question": one.question,
             "answer": one.answer, "evidence": one.evidence}  # fmt: skip
    return json.dumps(shown, ensure_ascii=False) + "\n"


def summary_of(dialogues: Sequence[Dialogue], verdicts: Mapping[str, Verdict], sampled: int) -> dict[str, int]:
    """How much was reviewed. What an earlier review accepted or edited is not unreviewed."""
    tally = collections.Counter(v.decision for v in verdicts.values())
    unreviewed = sum(1 for d in dialogues if not d.reviewed and d.id not in verdicts)
    return {"dialogues": len(dialogues), "sampled": sampled, "verdicts": len(verdicts), "accepted": tally["accept"],
            "edited": tally["edit"], "rejected": tally["reject"], "unreviewed": unreviewed}  # fmt: skip


def run(context: Context[Config]) -> Counts:
    """Writes the sample, applies the verdicts, and says how many rows nobody reviewed."""
    dialogues = list(context.records("dialogues", Dialogue))
    verdicts: dict[str, Verdict] = {}
    if context.has("verdicts"):
        verdicts = read_verdicts(Path(context.location("verdicts")), {d.id for d in dialogues})
    sample = sample_of(dialogues, context.config)
    with context.output.path(SAMPLE).open("w", encoding="utf-8") as file:
        file.writelines(line_of(one) for one in sample)
    context.output.json(SUMMARY, summary_of(dialogues, verdicts, len(sample)))
    outcome = (judged(one, verdicts.get(one.id)) for one in dialogues)
    return write_outcome(context, outcome, Dialogue, len(dialogues))


STAGE = Stage(
    name="review",
    revision=1,
    summary="Draws a sample for experts and applies their verdicts.",
    config=Config,
    inputs={
        "dialogues": Input("dialogues", record=Dialogue),
        "verdicts": Input("file of verdicts (JSONL or Parquet)", optional=True, opens=PathSource),
    },
    outputs={
        "kept": Dialogue,
        "rejected": Rejection,
        SAMPLE: "the sample to look at",
        SUMMARY: "how much was reviewed",
    },
    run=run,
    conserves=True,
)
