"""From an answer back to passages, documents, pairs and artifacts, through a real store."""

import dataclasses
import json

import pytest
from rich.console import Console

from metier.errors import InputError
from metier.lineage.artifact import Artifact
from metier.lineage.store import Store
from metier.lineage.trace import behind, show, trace
from metier.records import Passage
from metier.serving.answers import Answer, append
from tests.fixtures.tiny_release import make_artifacts, put, run_register


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A store with one logged answer, whose passages are of two documents."""
    root = tmp_path_factory.mktemp("store")
    made = make_artifacts(root)
    release = run_register(root, made)
    prints = {n: made[p].fingerprint for n, p in (("gate", "gate"), ("merged", "merge"), ("index", "index"))}
    assert prints.items() <= release.manifest.inputs.items()
    passages = [p for p in made["chunk"].records(Passage) if p.uri in ("audit.md", "hedge.md")][::-1]
    answer = Answer(id="answer-1", time="2026-01-01T00:00:00Z", question="What does the audit rule say?", answer="Order.",
                    passage_ids=tuple(p.id for p in passages), release="register/one")  # fmt: skip
    append(root, answer)
    return root, passages


def test_passages_in_the_order_of_the_prompt_and_their_documents(served):
    root, passages = served
    found = trace(root, "answer-1")
    assert [p.text for p in found.passages] == [p.text for p in passages]
    assert [d.uri for d in found.documents] == list(dict.fromkeys(p.uri for p in passages))


def test_the_nearest_pair_is_the_one_about_the_same(served):
    root, _ = served
    near = trace(root, "answer-1", pairs=2).pairs
    assert len(near) == 2
    assert near[0].question == "What does the audit rule say?"
    assert near[0].uri == "audit.md"
    assert near[0].similarity > 0.99 > near[1].similarity


def test_the_chain_runs_from_the_release_to_the_documents(served):
    root, _ = served
    steps = [link.step for link in trace(root, "answer-1").artifacts]
    assert steps[0] == "register"
    assert {"merge", "gate", "index", "blend", "chunk", "split"} <= set(steps)
    assert len(steps) == len(set(steps))


def test_a_stage_that_changed_nothing_does_not_break_the_chain(tmp_path):
    store = Store(tmp_path)
    rows = [Passage(uri="a", title="a", section="", text="a", position=0)]
    first = put(store, "first", lambda w: w.table("kept", Passage, rows))
    same = put(store, "same", lambda w: w.table("kept", Passage, rows), rows=first)
    assert first.fingerprint == same.fingerprint
    last = put(store, "last", lambda w: w.json("x.json", 1), rows=same)
    assert {a.manifest.step for a in behind(tmp_path, Artifact(last.folder))} == {"first", "same", "last"}


def test_a_trace_is_for_people_and_for_scripts(served):
    root, passages = served
    found = trace(root, "answer-1")
    said = json.loads(json.dumps(dataclasses.asdict(found)))
    assert said["passages"]
    assert said["documents"]
    console = Console(record=True, width=160)
    show(found, console)
    text = console.export_text()
    assert "What does the audit rule say?" in text
    assert passages[0].uri in text


def test_an_unknown_answer_is_refused(served):
    with pytest.raises(InputError, match="answer-2"):
        trace(served[0], "answer-2")
