"""Derived questions: what may be asked of a document, and which are chosen."""

from __future__ import annotations

import collections
import json

import pytest

from metier.evaluation.questions import candidates, select
from metier.evaluation.vocabulary import vocabulary_of
from metier.records import ApiObject, Document, Parameter
from metier.text.apitext import api_markdown

ABSTENTION = "I don't know."


def api_document(number: int, **fields) -> Document:
    name = fields.pop("name", f"box.shelf{number}.open_box{number}")
    api = ApiObject(
        name=name,
        kind=fields.pop("kind", "function"),
        signature=f"{name.rsplit('.', 1)[1]}(name, tries={number})",
        summary=fields.pop("summary", f"Lift the heavy cover number {number} from a wooden crate."),
        parameters=fields.pop("parameters", None)
        or (
            Parameter(
                name="name", annotation="str | None", default="None", description="What stands on the label outside."
            ),
            Parameter(
                name="tries", annotation="int", default=str(1000 + number), description="Attempts before it gives up."
            ),
            Parameter(
                name=f"colour{number}", annotation="str", default="'red'", description="The paint of the inner wall."
            ),
        ),
        returns="The crate without its cover and its contents.",
    )
    return Document(
        uri=name, title=name, text=api_markdown(api, ""), kind=api.kind, module="box", split="final", api=api
    )


def asked(document: Document, *others: Document):
    corpus = vocabulary_of([document, *others])
    return {(q.slice, q.task): q for q in candidates(document, corpus, ABSTENTION, 0)}


@pytest.fixture(scope="module")
def questions():
    return asked(api_document(1), api_document(2))


def test_an_object_gives_questions_for_every_slice(questions):
    assert {s for s, _ in questions} == {"numeric", "factual", "usage", "format", "unanswerable"}


def test_a_number_may_be_written_in_more_than_one_way(questions):
    question = questions["numeric", "default"]
    assert question.points == ("1001|1,001",)
    assert "`tries`" in question.prompt
    assert question.uri == "box.shelf1.open_box1"
    assert "box.shelf1.open_box1" in question.prompt
    assert question.split == "final"


def test_points_of_a_purpose_leave_out_the_words_of_the_name(questions):
    points = questions["factual", "purpose"].points
    assert 2 <= len(points) <= 4
    assert not any("open" in p or "box" in p for p in points)


def test_a_json_question_has_a_reference_in_its_own_form(questions):
    question = questions["format", "json_default"]
    assert question.format == "json"
    assert set(json.loads(question.reference)) == set(question.json_keys) == {"parameter", "default"}


def test_an_unanswerable_question_is_about_something_that_the_document_does_not_hold(questions):
    question = questions["unanswerable", "absent_parameter"]
    assert not question.answerable
    assert question.points == ()
    assert question.reference == ABSTENTION
    assert "`colour2`" in question.prompt  # the other object's parameter


def test_an_object_that_takes_any_keyword_is_not_asked_for_an_absent_one():
    open_ = api_document(1, parameters=(Parameter(name="**options", description="All that the hinge takes."),))
    assert ("unanswerable", "absent_parameter") not in asked(open_, api_document(2))


def test_a_summary_that_two_objects_share_names_neither():
    twins = [api_document(i, summary="Lift the heavy cover from a wooden crate.") for i in (1, 2)]
    assert ("usage", "which") not in asked(*twins)
    assert ("usage", "which") in asked(api_document(1), api_document(2))


def test_a_description_that_holds_the_name_is_no_riddle():
    told = api_document(
        1, parameters=(Parameter(name="tries", annotation="int", description="How many tries there are at most."),)
    )
    assert ("usage", "parameter") not in asked(told)


def test_prose_gives_questions_for_every_slice_too():
    text = (
        "# Leave\n\nStaff rest on the seaside for a while.\n\n## Length\n\nHolidays in summer last 30 days in total.\n"
    )
    other = Document(uri="b.md", title="Parking", text="# Parking\n\n## Bicycle sheds\n\nA shed has room.\n")
    found = asked(Document(uri="a.md", title="Leave", text=text, effective="2025-01-31", split="final"), other)
    assert {s for s, _ in found} == {"numeric", "factual", "usage", "format", "unanswerable"}
    assert "____" in found["numeric", "number"].prompt
    assert "30" not in found["numeric", "number"].prompt
    assert found["factual", "date"].points == ("2025-01-31",)
    foreign = found["unanswerable", "absent_heading"].prompt
    assert "Bicycle sheds" in foreign or "Parking" in foreign


def test_a_document_whose_title_names_two_is_asked_about_only_while_it_is_the_current_one():
    text = "# Leave\n\nHolidays in summer last 30 days in total.\n"
    old = Document(uri="old.md", title="Leave", text=text.replace("30", "20"), superseded="2025-01-31", split="final")
    new = Document(uri="new.md", title="Leave", text=text, effective="2025-01-31", split="final")
    twin = Document(uri="twin.md", title="Leave", text=text, split="final")
    assert asked(new, old)["numeric", "number"].points == ("30",)
    assert asked(old, new) == {}
    assert asked(new, twin) == {}


def test_a_sentence_that_two_documents_share_is_no_way_to_find_one():
    pages = [Document(uri=f"{t}.md", title=t, text="Nobody may enter without a helmet.\n") for t in ("Mine", "Quarry")]
    assert ("usage", "which") not in asked(*pages)
    assert ("usage", "which") in asked(pages[0])


@pytest.fixture(scope="module")
def pool():
    documents = [api_document(i) for i in range(12)]
    corpus = vocabulary_of(documents)
    return [q for d in documents for q in candidates(d, corpus, ABSTENTION, 0)]


WANTED = {"numeric": 5, "factual": 8, "usage": 4, "format": 6, "unanswerable": 3}


def test_a_choice_fills_its_slices_and_spreads_over_documents(pool):
    chosen = select(pool, WANTED, 3, 0)
    assert collections.Counter(q.slice for q in chosen) == WANTED
    assert max(collections.Counter(q.uri for q in chosen).values()) <= 3
    assert len({q.uri for q in chosen}) == 12
    assert len({q.prompt for q in chosen}) == len(chosen)


def test_a_choice_does_not_depend_on_the_order_of_the_documents(pool):
    assert {q.id for q in select(pool, WANTED, 3, 0)} == {q.id for q in select(pool[::-1], WANTED, 3, 0)}
    assert {q.id for q in select(pool, WANTED, 3, 0)} != {q.id for q in select(pool, WANTED, 3, 1)}


def test_a_slice_that_the_documents_cannot_fill_stays_short(pool):
    chosen = select(pool, {"numeric": 500}, 3, 0)
    assert 0 < len(chosen) <= 36
