"""Rejects dialogues that would teach something wrong. Each check is one small function with a reason code.

A dialogue is judged by itself first, in parallel. Those that remain are compared where they speak of the same thing: of two
answers that can't both hold the older one goes, and where nothing tells which is right, both do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from metier.config import StageConfig
from metier.execution.contradictions import Claimed, Meaning, candidates, comparison, settled, taken_down
from metier.execution.dataflow import pieces_of, tasks_for
from metier.execution.judging import check_judge, judgements
from metier.execution.removal import in_order, write_removal
from metier.execution.step import Context, Input, Stage
from metier.inference.judges import JudgeConfig, NoJudge
from metier.lineage.artifact import Shard
from metier.lineage.manifest import Counts
from metier.lineage.shards import Chunk, from_table, read_chunk, write_shard
from metier.models import ModelSource
from metier.records import Dialogue, Rejection, rejection
from metier.retrieval.embedding import EmbedderSource
from metier.retrieval.prompt import ABSTENTION
from metier.stages.screen import checked_languages
from metier.stages.supersede import Superseded
from metier.text import quality
from metier.text.blocking import Keyed
from metier.text.boilerplate import boilerplate
from metier.text.claims import Claim, Contradiction, claim_of
from metier.text.dates import day_of, starts_after, superseded_by
from metier.text.grounding import foreign_numbers, ungrounded
from metier.text.language import foreign_language
from metier.text.words import wording

CONTRADICTORY = "contradictory"
CONFLICTS, JUDGE, JUDGED = "conflicts", "judge", "judge.json"
BOILERPLATE_SHARE = 0.5
Check = Callable[[Dialogue], str]
"""Gives the evidence of what is wrong; empty where nothing is."""


class Config(StageConfig):
    """What a dialogue must be like."""

    min_question_words: int = Field(3, ge=1, le=100)
    """Shorter questions are rejected."""
    max_question_words: int = Field(400, ge=1, le=100_000)
    """Longer questions are rejected."""
    max_answer_words: int = Field(200, ge=1, le=100_000)
    """Longer answers are rejected."""
    min_grounded_share: float = Field(0.6, ge=0, le=1)
    """Share of an answer's content words that its evidence or question must hold; numbers and names all must be there."""
    languages: tuple[str, ...] = ()
    """ISO 639 codes (en, de, ...): dialogues that are surely in another language are rejected. Empty: any language."""
    as_of: str = ""
    """Day (ISO 8601) on which knowledge must hold: what was superseded by then, or holds only later, is rejected. Empty: what
    a newer version of its document supersedes is rejected, whenever that takes effect, and days are not looked at otherwise."""
    max_sharing: int = Field(64, ge=2, le=10_000)
    """Contradictions are looked for among dialogues that share a word which at most so many have, or two such words together;
    and among those of one question, each with so many of the best standing. More finds more and takes longer."""
    neighbours: int = Field(8, ge=1, le=64)
    """With an embedder: how many of the questions that mean nearly the same a dialogue is compared with by each of 16 lists."""
    near_meaning: float = Field(0.7, ge=0, le=1)
    """With an embedder: cosine similarity from which two questions mean nearly the same."""
    judge: JudgeConfig = Field(default_factory=NoJudge)
    """Who is asked about pairs that may speak of one thing and between which rules find nothing: none, nli or llm."""

    @field_validator("languages")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked_languages(value)

    @field_validator("as_of")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        day_of(value)
        return value


def abstains(dialogue: Dialogue) -> bool:
    """Whether the answer says that there is none."""
    return dialogue.task == "unanswerable" or dialogue.answer.strip() == ABSTENTION


def checks(config: Config, successors: Mapping[str, Superseded]) -> dict[str, Check]:
    """The checks by reason code, in the order in which they are asked. `successors`: by the root id of a document."""

    def too_short(d: Dialogue) -> str:
        words = len(wording(d.question))
        if words < config.min_question_words:
            return f"question of {words} words"
        return "" if d.answer.strip() else "empty answer"

    def too_long(d: Dialogue) -> str:
        asked, said = len(wording(d.question)), len(wording(d.answer))
        if asked > config.max_question_words:
            return f"question of {asked} words"
        return f"answer of {said} words" if said > config.max_answer_words else ""

    def invalid_date(d: Dialogue) -> str:
        try:
            day_of(d.effective), day_of(d.superseded)
        except ValueError as error:
            return str(error)
        return ""

    def outdated(d: Dialogue) -> str:
        newer = successors.get(d.root_id)
        if newer and (not config.as_of or superseded_by(newer.day, config.as_of)):
            return f"its document {newer.uri} is superseded since {newer.day} by {newer.by_uri} ({newer.by_id}, {newer.by_title})"
        return f"superseded {d.superseded}" if superseded_by(d.superseded, config.as_of) else ""

    def not_yet_effective(d: Dialogue) -> str:
        return f"effective {d.effective}" if starts_after(d.effective, config.as_of) else ""

    def question_not_answered(d: Dialogue) -> str:
        return "" if abstains(d) else quality.unanswered(d.question, d.answer)

    def foreign_number(d: Dialogue) -> str:
        sourced = d.evidence and not abstains(d) and not d.reviewed
        return foreign_numbers(d.answer, d.question, d.evidence) if sourced else ""

    def without_source(d: Dialogue) -> str:
        if abstains(d) or d.reviewed:  # an expert's word stands above the source
            return ""
        if d.evidence:
            return ungrounded(d.answer, d.question, d.evidence, config.min_grounded_share)
        return "" if d.source == "production" else "no evidence is given"  # people answer from what they know

    return {
        "too_short": too_short,
        "too_long": too_long,
        "broken_encoding": lambda d: quality.broken_encoding(f"{d.question}\n{d.answer}"),
        "language": lambda d: foreign_language(f"{d.question}\n{d.answer}", config.languages),
        "refusal": lambda d: quality.refusal(d.answer),
        "repetition": lambda d: quality.repetition(d.answer) or quality.repeated_lines(d.answer),
        "boilerplate": lambda d: boilerplate(d.answer, (), BOILERPLATE_SHARE),
        "invalid_date": invalid_date,
        "outdated": outdated,
        "not_yet_effective": not_yet_effective,
        "question_not_answered": question_not_answered,
        "number_not_in_source": foreign_number,
        "ungrounded": without_source,
    }


def operator(
    config: Config, successors: Mapping[str, Superseded] | None = None
) -> Callable[[list[Dialogue]], Iterator[Dialogue | Rejection]]:
    """Each dialogue as it is, or rejected by the first check that finds something."""
    asked = checks(config, successors or {})

    def apply(dialogues: list[Dialogue]) -> Iterator[Dialogue | Rejection]:
        for one in dialogues:
            found = ((reason, check(one)) for reason, check in asked.items())
            fault = next(((reason, evidence) for reason, evidence in found if evidence), None)
            yield rejection(one, "filter", *fault) if fault else one

    return apply


def judged(
    chunk: Chunk, config: Config, successors: Mapping[str, Superseded]
) -> tuple[pa.Table, Keyed, pa.Table, pa.Table]:
    """The rows of a chunk that go by themselves, as `write_removal` takes them, and what the others claim (`taken_down`)."""
    rows, reasons, evidence = list[int](), list[str](), list[str]()
    staying, claims = list[int](), list[Claim]()
    dialogues = from_table(Dialogue, read_chunk(chunk))
    for row, out in enumerate(operator(config, successors)(dialogues), chunk.first):
        if isinstance(out, Rejection):
            rows.append(row)
            reasons.append(out.reason)
            evidence.append(out.evidence)
        else:
            staying.append(row)
            claims.append(claim_of(out, answers=not abstains(out)))
    return removal(rows, reasons, evidence), *taken_down(staying, claims)


def removal(rows: list[int], reasons: list[str], evidence: list[str]) -> pa.Table:
    """Rows that go, as `write_removal` takes them."""
    columns = (pa.array(rows, pa.int64()), pa.array(reasons, pa.string()), pa.array(evidence, pa.string()))
    return pa.table(dict(zip(("row", "reason", "evidence"), columns, strict=True)))


def run(context: Context[Config]) -> Counts:
    """Writes kept and rejected dialogues, in the order of the input, and the table of contradictions."""
    config = context.config
    check_judge(context, config.judge, JUDGE)
    successors: dict[str, Superseded] = {}
    if context.has("superseded"):
        successors = {row.root_id: row for row in context.records("superseded", Superseded)}
    meaning = None
    if context.has("embedder"):
        meaning = Meaning(context.location("embedder"), config.neighbours, config.near_meaning)
    chunks = pieces_of(context, "dialogues")
    tasks = tasks_for(context, chunks)

    newer = tasks.share(successors)
    made = [tasks.call(judged, chunk, config, newer, parts=4) for chunk in chunks]
    parts = [Claimed(*claims) for _, *claims in made]
    firsts = np.array([chunk.first for chunk in chunks])
    pairs = candidates(tasks, firsts, parts, config.max_sharing, meaning)
    most_open = 0 if isinstance(config.judge, NoJudge) else config.judge.max_pairs
    found, opened = comparison(tasks, parts, pairs, most_open)
    if not isinstance(config.judge, NoJudge):
        further, told = judgements(context, config.judge, JUDGE, tasks, opened)
        found += further
        context.output.json(JUDGED, told)
    conflicts, lost = tasks.call(settled, len(parts), *(part.about for part in parts), *found, parts=2)
    removed = tasks.call(gone, lost, *(alone for alone, *_ in made))

    written = tasks.call(listed, context.output.folder, conflicts)
    for shard in tasks.results([written]):
        context.output.add(shard)
    return write_removal(context, tasks, chunks, Dialogue, removed)


def gone(lost: pa.Table, *alone: pa.Table) -> pa.Table:
    """All rows that go: those that lost against another, and those that went by themselves."""
    reasons = [CONTRADICTORY] * lost.num_rows
    contradicted = removal(lost["row"].to_pylist(), reasons, lost["evidence"].to_pylist())
    return in_order(contradicted, *alone)


def listed(folder: Path, conflicts: pa.Table) -> Shard:
    """Writes the table of contradictions."""
    return write_shard(folder, CONFLICTS, None, Contradiction, conflicts)


STAGE = Stage(
    name="filter",
    revision=4,
    summary="Rejects dialogues that are ungrounded, contradictory, outdated or malformed.",
    config=Config,
    inputs={
        "dialogues": Input("dialogues", record=Dialogue),
        "superseded": Input(
            "which documents newer ones supersede: output of supersede", Superseded, table="superseded", optional=True
        ),
        "embedder": Input(
            "embedding model, to compare what is asked in other words too", optional=True, opens=EmbedderSource
        ),
        JUDGE: Input("the model of judge nli or llm: a name, folder or hub id", optional=True, opens=ModelSource),
    },
    outputs={
        "kept": Dialogue,
        "rejected": Rejection,
        CONFLICTS: Contradiction,
        JUDGED: "what the judge was asked and how it replied, where there is one",
    },
    run=run,
    conserves=True,
)
