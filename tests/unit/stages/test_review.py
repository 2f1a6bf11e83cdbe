"""The experts' sample, and verdicts that act on the data."""

from __future__ import annotations

import collections
import json

import pytest

from metier.errors import InputError
from metier.lineage.source import PathSource
from metier.records import Dialogue, Message, Rejection, Verdict
from metier.stages.review import EXPERT_REJECT, SAMPLE, STAGE, SUMMARY, Config, judged, sample_of
from tests.fixtures.stage_alone import dialogue, run_alone


def rows(**tasks: int) -> list[Dialogue]:
    return [dialogue(f"What is {task} {i}?", "This.", task=task) for task, n in tasks.items() for i in range(n)]


def test_the_sample_gives_every_stratum_its_turn():
    sample = sample_of(rows(purpose=90, default=9, rare=1), Config(sample_size=11))
    assert collections.Counter(d.task for d in sample) == {"purpose": 5, "default": 5, "rare": 1}
    mixed = [*rows(purpose=5), *(dialogue(f"Why {i}?", "So.", source="teacher") for i in range(5))]
    assert {d.source for d in sample_of(mixed, Config(sample_size=2))} == {"structured", "teacher"}


def test_the_sample_depends_on_rows_and_seed_alone():
    many = rows(purpose=40, default=40)
    assert sample_of(many, Config(sample_size=9)) == sample_of(many[::-1], Config(sample_size=9))
    assert sample_of(many, Config(sample_size=9)) != sample_of(many, Config(sample_size=9, seed=1))
    assert len(sample_of(many, Config(sample_size=1000))) == 80
    assert sample_of(many, Config(sample_size=0)) == []


def verdict(one: Dialogue, decision: str, **fields) -> Verdict:
    return Verdict(record_id=one.id, decision=decision, reviewer="ann", **fields)


def test_a_verdict_acts_on_the_row():
    one = Dialogue(
        messages=(
            Message(role="user", content="What is it?"),
            Message(role="assistant", content="Wrong."),
            Message(role="user", content="Thanks."),
        ),
        task="purpose",
        source="production",
    )
    assert judged(one, None) is one
    accepted = judged(one, verdict(one, "accept"))
    assert (accepted.reviewed, accepted.messages, accepted.parent_ids) == ("accepted", one.messages, (one.id,))
    edited = judged(one, verdict(one, "edit", answer="Right."))
    assert (edited.reviewed, edited.answer, edited.question) == ("edited", "Right.", "Thanks.")
    rejected = judged(one, verdict(one, "reject", comment="made up"))
    assert (rejected.reason, rejected.evidence, rejected.record_id) == (EXPERT_REJECT, "ann: made up", one.id)


def run(tmp_path, dialogues, verdicts=(), **settings):
    file = tmp_path / "verdicts.jsonl"
    file.write_text("".join(json.dumps(v) + "\n" for v in verdicts))
    source = {"verdicts": PathSource(str(file))} if verdicts else {}
    return run_alone(STAGE, Config(**settings), tmp_path, dialogues=dialogues, **source)


def row(one: Dialogue, decision: str, **fields) -> dict[str, str]:
    return {"record_id": one.id, "decision": decision, "reviewer": "ann"} | fields


def test_without_verdicts_all_pass_and_the_summary_says_so(tmp_path):
    made = run(tmp_path, rows(purpose=7), sample_size=3)
    assert made.json(SUMMARY) == {
        "dialogues": 7, "sampled": 3, "verdicts": 0, "accepted": 0, "edited": 0, "rejected": 0, "unreviewed": 7,
    }  # fmt: skip
    lines = [json.loads(line) for line in made.path(SAMPLE).read_text().splitlines()]
    assert len(lines) == 3
    assert set(lines[0]) == {"record_id", "task", "source", "question", "answer", "evidence"}
    assert made.manifest.counts.kept == 7


def test_verdicts_change_the_table(tmp_path):
    a, b, c, d = rows(purpose=4)
    made = run(
        tmp_path, [a, b, c, d], [row(a, "accept"), row(b, "edit", answer="That."), row(c, "reject", comment="no")]
    )
    assert [(x.question, x.answer, x.reviewed) for x in made.records(Dialogue)] == [
        (a.question, "This.", "accepted"), (b.question, "That.", "edited"), (d.question, "This.", ""),
    ]  # fmt: skip
    assert [r.record_id for r in made.records(Rejection, "rejected")] == [c.id]
    summary = made.json(SUMMARY)
    assert [summary[k] for k in ("verdicts", "accepted", "edited", "rejected", "unreviewed")] == [3, 1, 1, 1, 1]


def test_a_bad_verdict_names_its_row(tmp_path):
    a, b = rows(purpose=2)
    unknown = {"record_id": "f" * 32, "decision": "accept", "reviewer": "ann"}
    for number, (verdicts, why) in enumerate(
        [
            ([row(a, "accept"), unknown], "row 2: no dialogue has the id"),
            ([row(a, "accept"), row(a, "reject")], "row 2: a second verdict"),
            ([row(b, "edit")], "row 1: an edit needs"),
            ([row(b, "maybe")], "row 1: decision is 'maybe'"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(InputError, match=why):
            run(folder, [a, b], verdicts)
