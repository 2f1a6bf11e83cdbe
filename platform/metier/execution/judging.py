"""Asks a judge about the pairs of claims that rules leave open: an NLI model as tasks, a language model through its engine."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from metier.errors import InputError, StepError
from metier.execution.contradictions import chosen
from metier.execution.generation import generate
from metier.execution.step import Context
from metier.execution.tasks import Handle, Tasks
from metier.inference.engines import HttpEngine
from metier.inference.entailment import label_of, scorer
from metier.inference.judges import LlmJudge, NliJudge, NoJudge, answered, asked, inferred
from metier.lineage.shards import to_table
from metier.text.claims import Contradiction, Open
from metier.text.compact import unpacked

MAX_FAILED = 0.1  # share of the replies; more is a broken judge, and a run that goes on would hide it


def check_judge(context: Context[Any], judge: NoJudge | NliJudge | LlmJudge, name: str) -> None:
    """Refuses, before anything is spent, a judge that can't be asked. `name`: the input that is its model. Raises InputError."""
    if isinstance(judge, NoJudge) or (isinstance(judge, LlmJudge) and isinstance(judge.engine, HttpEngine)):
        return
    if not context.has(name):
        raise InputError(f"{context.step}: a judge of {judge.judge} needs a model: give --{name}, or judge.judge=none")
    if isinstance(judge, NliJudge):
        label_of(context.location(name))


def judgements(
    context: Context[Any], judge: NliJudge | LlmJudge, name: str, tasks: Tasks, opened: Sequence[Handle]
) -> tuple[list[Handle], dict[str, int]]:
    """Tables of contradictions among open pairs (`OPEN`), and how many pairs the judge was asked about with what reply."""
    if isinstance(judge, NliJudge):
        slices = tasks.call(chosen, judge.max_pairs, len(opened), *opened, parts=len(opened))
        where = (judge, context.location(name), context.fingerprint(name))
        made = [tasks.call(by_entailment, *where, part, parts=2) for part in slices]
        told: collections.Counter[str] = collections.Counter()
        for counts in tasks.results(counts for _, counts in made):
            told.update(counts)
        return [table for table, _ in made], dict(told)
    (whole,) = tasks.results(tasks.call(chosen, judge.max_pairs, 1, *opened, parts=1))
    table, counts = by_language_model(context, judge, name, whole)
    return [table], counts


def by_entailment(judge: NliJudge, model: str, called: str, opened: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """What an NLI model sees in open pairs. `model`: its location; `called`: its name in the evidence."""
    pairs = _pairs(opened)
    found = list(inferred(pairs, scorer(model), judge, called)) if pairs else []
    return to_table(Contradiction, found), {"asked": len(pairs), "yes": len(found), "no": len(pairs) - len(found)}


def by_language_model(
    context: Context[Any], judge: LlmJudge, name: str, opened: pa.Table
) -> tuple[pa.Table, dict[str, int]]:
    """What a language model sees in open pairs. Raises StepError where it mostly fails to reply."""
    pairs = _pairs(opened)
    called = judge.engine.model if isinstance(judge.engine, HttpEngine) else context.fingerprint(name)
    model = context.location(name) if context.has(name) else ""  # an endpoint names its own
    replies = list(generate(asked(pairs, judge), judge.engine, model, context.resources, context.progress))
    failed = [reply.error for reply in replies if reply.error]
    if len(failed) > MAX_FAILED * len(pairs):
        raise StepError(f"{context.step}: {len(failed)} of {len(pairs)} replies failed, first: {failed[0]}")
    said = [answered(pairs[int(reply.id)], reply, judge, called) for reply in replies]
    found = [one for one in said if isinstance(one, Contradiction)]
    told = collections.Counter(one for one in said if not isinstance(one, Contradiction))
    others = {"no": told["no"], "unclear": told["unclear"], "failed": told["failed"]}
    return to_table(Contradiction, found), {"asked": len(pairs), "yes": len(found), **others}


def _pairs(opened: pa.Table) -> list[Open]:
    return [unpacked(Open, text) for text in opened["open"].to_pylist()]
