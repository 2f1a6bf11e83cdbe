"""Records: ids from content, children that know where they come from, and rejections that lose nothing."""

from __future__ import annotations

import dataclasses
import json

import pytest

from metier.records import Dialogue, Document, Message, Passage, record_from, record_id, rejection

DOCUMENT = Document(uri="a.md", title="Leave", text="Thirty days, naïvely.", split="train", effective="2025-01-31")


def turns(*said: str) -> tuple[Message, ...]:
    return tuple(Message(role=("user", "assistant")[i % 2], content=text) for i, text in enumerate(said))


def test_an_id_is_the_same_on_every_machine_and_in_every_release():
    assert record_id("Document", {"b": "ü", "a": [1, None]}) == "8e720a5f27a29437992c7d79e5c7e4fe"
    assert Document(uri="a", title="b", text="c").id == "a04e4a7afb3dcfa8919706025c4c04f6"


@pytest.mark.parametrize("change", [{"text": "other"}, {"split": "dev"}, {"parent_ids": ("x",)}])
def test_any_changed_content_is_another_id(change):
    assert dataclasses.replace(DOCUMENT, id="", root_id="", **change).id != DOCUMENT.id


def test_records_of_two_types_with_equal_content_have_two_ids():
    assert record_id("Document", {"text": "x"}) != record_id("Passage", {"text": "x"})


def test_a_child_of_the_same_type_keeps_what_is_not_named():
    child = DOCUMENT.derive(Document, split="final")
    assert (child.uri, child.text, child.effective, child.split) == ("a.md", DOCUMENT.text, "2025-01-31", "final")
    assert child.parent_ids == (DOCUMENT.id,)
    assert child.id != DOCUMENT.id


def test_the_source_document_is_known_through_all_generations():
    passage = DOCUMENT.derive(Passage, uri="a.md", title="Leave", section="", text="Thirty days.", position=0)
    dialogue = passage.derive(Dialogue, messages=turns("How long?", "30 days."), task="teacher", source="teacher")
    assert DOCUMENT.root_id == DOCUMENT.id
    assert dialogue.parent_ids == (passage.id,)
    assert dialogue.root_id == DOCUMENT.id
    assert dialogue.split == ""  # of another type, nothing is taken over unseen


def test_a_record_that_is_read_back_keeps_its_id():
    assert record_from(Document, dataclasses.asdict(DOCUMENT)) == DOCUMENT


def test_a_record_can_not_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DOCUMENT.text = "other"


def test_question_and_answer_are_the_last_turns():
    dialogue = Dialogue(messages=turns("First?", "One.", "Second?", "Two."), task="t", source="production")
    assert (dialogue.question, dialogue.answer) == ("Second?", "Two.")


def test_a_rejection_gives_the_whole_row_back():
    lost = rejection(DOCUMENT, "filter", "outdated", "x" * 3000)
    assert record_from(Document, json.loads(lost.row)) == DOCUMENT
    assert (lost.record_id, lost.root_id, lost.stage, lost.reason) == (DOCUMENT.id, DOCUMENT.id, "filter", "outdated")
    assert lost.evidence == "x" * 2000


def test_two_reasons_for_one_row_are_two_rejections():
    assert rejection(DOCUMENT, "filter", "a", "").id != rejection(DOCUMENT, "filter", "b", "").id


@pytest.mark.parametrize("roles", [(), ("user",), ("system", "assistant")])
def test_a_dialogue_without_a_question_or_an_answer_is_refused(roles):
    with pytest.raises(ValueError, match="a user and an assistant turn"):
        Dialogue(messages=tuple(Message(role=r, content="x") for r in roles), task="t", source="production")
