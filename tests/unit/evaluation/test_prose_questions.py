"""Questions about prose that tests of the whole exam do not reach: what would give the answer away, or ask too much."""

from __future__ import annotations

import json

from metier.evaluation.prose_questions import prose_questions
from metier.evaluation.vocabulary import vocabulary_of
from metier.records import Document


def page(title: str, body: str, **fields) -> Document:
    return Document(uri=f"{title}.md", title=title, text=f"# {title}\n\n{body}\n", split="dev", **fields)


def asked(one: Document, *others: Document):
    found = prose_questions(one, vocabulary_of([one, *others]), "I don't know.", 0)
    return {q.task: q for q in found}


def test_the_gap_holds_the_number_and_nothing_tells_it():
    found = asked(page("Leave", "Holidays in summer last 1,500 hours in total."))
    assert found["number"].points == ("1500|1,500",)
    assert "____ hours" in found["number"].prompt
    assert "1,500" not in found["number"].prompt
    assert json.loads(found["json_number"].reference) == {"document": "Leave", "value": "1,500"}


def test_a_sentence_with_two_numbers_is_not_asked_about():
    assert "number" not in asked(page("Leave", "Holidays in summer last 30 days or 6 weeks."))


def test_both_dates_of_a_document_are_asked_for_each_in_its_words():
    one = page("Leave", "Free time.", effective="2025-01-31", superseded="2026-01-31")
    found = list(prose_questions(one, vocabulary_of([one]), "I don't know.", 0))
    dates = {q.points: q.prompt for q in found if q.task == "date"}
    assert "in force" in dates[("2025-01-31",)]
    assert "superseded" in dates[("2026-01-31",)]


def test_a_section_is_asked_for_and_the_page_as_a_whole_is_not():
    text = "Staff rest on beaches and mountains."
    assert "purpose" not in asked(page("Leave", text))
    found = asked(page("Leave", f"## Recovery\n\n{text}"))
    assert "Recovery" in found["purpose"].prompt
    assert found["purpose"].reference == text


def test_a_sentence_that_holds_the_title_does_not_ask_for_its_document():
    assert "which" not in asked(page("Leave", "Every leave begins on the first Monday."))
    assert asked(page("Leave", "Nobody may enter the quarry alone."))["which"].points == ("leave",)


def test_only_headings_that_share_no_word_with_a_page_are_absent_from_it():
    leave = page("Leave", "Holidays last long. The bicycle stays at home.")
    assert "absent_heading" not in asked(leave, page("Bicycles", "They roll."))
    found = asked(leave, page("Parking sheds", "They stand."))
    assert "Parking sheds" in found["absent_heading"].prompt
    assert not found["absent_heading"].answerable
