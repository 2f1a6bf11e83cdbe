"""Production logs on the whole road, through the real command: read, made anonymous, kept from the exam, blended, and told."""

from __future__ import annotations

import json

import pytest
import yaml

from metier.lineage.store import Store
from metier.records import Dialogue, Question, Rejection
from tests.fixtures.tiny_experiment import make_tiny_experiment, metier_process

ASKED = ("lunch", "parking", "printers", "badges", "coffee", "travel", "laptops", "phones", "heating", "plants")
MAIL = "jane.miller@acme-bank.com"


def chat(question: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """The store after blend; two small logs are in the road, of which one holds an exam question."""
    folder = tmp_path_factory.mktemp("chats")
    file, store = make_tiny_experiment(folder), folder / "store"
    metier_process("run", file, "--store", store, "--json", "--until", "questions")
    exam = next(iter(Store(store).latest("questions").records(Question)))
    logs = folder / "chats"
    logs.mkdir()
    said = [
        chat(f"Whom do I ask about {one} at the branch?", f"For {one} write to {MAIL} in the morning.")
        for one in ASKED[:5]
    ]
    (logs / "a.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*said, said[0], chat(exam.prompt, exam.reference)])
    )
    turns = [
        [
            {"from": "human", "value": f"Who pays for the {one} in the office?"},
            {"from": "gpt", "value": f"The office pays for {one}."},
        ]
        for one in ASKED[5:]
    ]
    (logs / "b.jsonl").write_text("".join(json.dumps({"conversations": row}) + "\n" for row in turns))
    tree = yaml.safe_load(file.read_text())
    tree["dialogues"] = [{"folder": "chats", "glob": "*.jsonl"}]
    tree["stages"]["import_dialogues"] = {"dev_fraction": 0.5}
    file.write_text(yaml.safe_dump(tree))
    metier_process("run", file, "--store", store, "--json", "--until", "blend")
    return Store(store)


def real(road, step: str, table: str = "kept") -> list[Dialogue]:
    return [d for d in road.latest(step).records(Dialogue, table) if d.source == "production"]


def test_the_pairs_reach_training_and_validation_closed_book_and_anonymous(road):
    trained, held_out = real(road, "blend"), real(road, "blend", "validation")
    assert len(trained) + len(held_out) == len(ASKED)
    assert trained
    assert held_out
    for one in [*trained, *held_out]:
        assert (one.framing, one.passage_ids) == ("closed_book", ())
        assert any(subject in one.question and subject in one.answer for subject in ASKED)
        assert MAIL not in str(one)
    assert any("<EMAIL_ADDRESS_1>" in one.answer for one in [*trained, *held_out])


def test_a_copy_and_an_exam_question_are_rejected_with_their_reason(road):
    lost = {
        step: [r for r in road.latest(step).records(Rejection, "rejected") if '"production"' in r.row]
        for step in ("deduplicate", "decontaminate")
    }
    assert [r.reason for r in lost["deduplicate"]] == ["exact_duplicate"]
    assert [r.reason for r in lost["decontaminate"]] == ["exam_copy"]


def test_every_row_of_both_roads_is_counted(road):
    counts = {
        step: road.latest(step).manifest.counts for step in ("anonymise_dialogues", "anonymise_logs", "deduplicate")
    }
    assert counts["deduplicate"].read == counts["anonymise_dialogues"].kept + counts["anonymise_logs"].kept
    assert counts["anonymise_logs"].kept == len(ASKED) + 2


def test_the_way_of_a_pair_is_told(road):
    one = next(d for d in real(road, "blend") if "EMAIL" in d.answer)
    way = json.loads(metier_process("data", "why", one.root_id, "--store", road.root, "--json"))
    steps = {stop["step"]: stop for stop in way["stops"]}
    assert list(steps) == [
        "import_dialogues",
        "anonymise_logs",
        "deduplicate",
        "filter",
        "review",
        "decontaminate",
        "blend",
    ]
    assert all(stop["kept"] or stop["made"] for stop in steps.values())
