"""`metier trace`: what stands behind an answer, for people and for scripts, and one line for an id that is none."""

from __future__ import annotations

import dataclasses
import json

import pytest

from metier.records import Passage
from metier.serving.answers import Answer, append, new_id, now
from tests.fixtures.command_line import metier, refused
from tests.fixtures.tiny_release import make_artifacts, run_register


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A store with a release and one answer of it."""
    root = tmp_path_factory.mktemp("store")
    made = make_artifacts(root)
    run_register(root, made)
    passage = next(p for p in made["chunk"].records(Passage) if p.uri == "audit.md")
    answer = Answer(id=new_id(), time=now(), question="What is the audit limit?", answer="121 units.",
                    passage_ids=(passage.id,), release="register/one", finish_reason="stop")  # fmt: skip
    append(root, answer)
    return root, answer, passage


def test_people_see_the_passage_its_document_and_the_nearest_pairs(answered):
    root, answer, passage = answered
    out = metier("trace", answer.id, "--store", root, "--pairs", 2).out
    for shown in (answer.question, answer.answer, "audit.md", "Nearest training pairs"):
        assert shown in out
    assert passage.text.split()[0] in out


def test_scripts_get_json(answered):
    root, answer, passage = answered
    found = json.loads(metier("trace", answer.id, "--store", root, "--json", "--pairs", 2).out)
    assert [p["id"] for p in found["passages"]] == [passage.id]
    assert [d["uri"] for d in found["documents"]] == ["audit.md"]
    assert len(found["pairs"]) == 2


@pytest.mark.parametrize("id_", ["answer-0", "../../etc/passwd", ""])
def test_an_id_that_no_answer_has_is_refused(answered, id_):
    assert "not in the log" in refused("trace", id_, "--store", answered[0])


def test_what_people_asked_is_no_markup_and_steers_no_terminal(answered):
    root, answer, _ = answered
    odd = dataclasses.replace(answer, id=new_id(), question="[/red]\x1b[2J what?", release="register/one")
    append(root, odd)
    out = metier("trace", odd.id, "--store", root, "--pairs", 0).out
    assert "[/red]" in out
    assert "\x1b[2J" not in out
