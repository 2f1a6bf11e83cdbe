"""Contradictions over a real Ray: neither the workers, nor the order of rows, nor a death in the middle changes a verdict."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from metier.config import Resources
from metier.execution import contradictions
from metier.execution.runner import execute
from metier.execution.step import Step
from metier.inference.judges import NliJudge
from metier.lineage.artifact import Artifact, Writer
from metier.models import ModelSource
from metier.records import Dialogue, Rejection
from metier.stages.filter import CONFLICTS, JUDGED, STAGE, Config
from metier.text.claims import Contradiction
from tests.fixtures.nli_model import COLOURS, THINGS, make_nli, said
from tests.fixtures.stage_alone import Silent, as_table, dialogue

ROWS = 120


def dialogues(rows: int = ROWS) -> list[Dialogue]:
    """Of five about one bank, two contradict each other; some are malformed; some are asked by all."""
    made = []
    for row in range(rows):
        bank, turn = f"{'bdfgklmnprstvz'[row // 5 % 14]}{'aeiou'[row // 70]}lden".title(), row % 5
        question = f"How long does {bank} Bank keep {('invoices', 'letters')[turn % 2]}?"
        answer = f"{bank} Bank keeps them for {8 if turn < 4 else 10} years."
        if row % 15 == 13:
            question = "Why?"
        if row % 15 == 8:
            question, answer = "How many branches are there?", f"There are {row % 3} branches."
        made.append(
            dialogue(question, answer, source="production", effective=("", "2025-01-01")[row % 2], root_id=str(row))
        )
    return made


def run(
    folder: Path, rows: list[Dialogue], config: Config | None = None, judge: ModelSource | None = None, **resources
) -> Artifact:
    given = as_table(folder / "given", rows, Dialogue)
    placed = Resources(**{"batch_rows": 1} | resources)  # pieces of 8 rows
    step = Step(name="filter", stage=STAGE, config=config or Config(), resources=placed, inputs={})
    inputs = {"dialogues": given} | ({"judge": judge} if judge else {})
    fingerprints = {name: one.fingerprint for name, one in inputs.items()}
    return execute(step, inputs, fingerprints, Writer(folder / "out"), Silent())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """As one process makes it."""
    return run(tmp_path_factory.mktemp("alone"), dialogues(), batch_rows=1000)


def test_the_planted_contradictions_are_found(alone):
    lost = alone.manifest.counts.rejected
    assert lost["too_short"] == 8
    assert lost["contradictory"] > 20
    assert len(list(alone.records(Contradiction, CONFLICTS))) > 20


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(ray_cluster, tmp_path, alone, workers):
    made = run(tmp_path, dialogues(), cpus=4 / workers)  # of the four that the session has
    assert len(made.table_files()) == 15
    assert made.fingerprint == alone.fingerprint


def test_the_order_of_rows_changes_nothing(ray_cluster, tmp_path, alone):
    made = run(tmp_path, random.Random(1).sample(dialogues(), ROWS))
    assert made.fingerprint == alone.fingerprint


def test_a_row_rejected_by_itself_contradicts_nobody(alone):
    gone = {r.record_id for r in alone.records(Rejection, "rejected") if r.reason != "contradictory"}
    assert not gone & {id_ for one in alone.records(Contradiction, CONFLICTS) for id_ in (one.first, one.second)}


def test_a_judge_is_asked_in_parts_and_says_what_it_says_in_one(ray_cluster, tmp_path):
    judge = ModelSource(str(make_nli(tmp_path / "nli")))
    rows = [
        dialogue(
            said(thing, colour).split("?")[0] + "?", f"The {thing} is {colour}.", source="production", root_id=str(i)
        )
        for i, (thing, colour) in enumerate([(t, c) for t in THINGS for c in COLOURS] * 3)
    ]
    config = Config(judge=NliJudge())
    made = [run(tmp_path / str(n), rows, config, judge, batch_rows=n) for n in (1, 1000)]
    assert made[0].fingerprint == made[1].fingerprint
    assert [len(one.table_files()) for one in made] == [12, 1]
    assert made[0].json(JUDGED)["yes"] >= 9 * len(THINGS)


def test_a_worker_that_dies_in_the_middle_changes_nothing(ray_cluster, tmp_path, alone, monkeypatch):
    mark, compared = tmp_path / "died", contradictions.compared

    def dying(*arguments):
        if not mark.exists():
            mark.touch()
            os._exit(1)
        return compared(*arguments)

    monkeypatch.setattr(contradictions, "compared", dying)
    hurt = run(tmp_path / "hurt", dialogues())
    assert mark.exists()
    assert hurt.fingerprint == alone.fingerprint
