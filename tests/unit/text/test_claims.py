"""Which of two claims goes, and on what evidence."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.claims import claim_of, conflict, left_open
from tests.fixtures.stage_alone import dialogue

ASKED, OTHER = "How long does Halden Bank keep invoices?", "What is the retention period for invoices at Halden Bank?"


def claims(*rows):
    """The claims in the order of their ids. Rows are (question, answer, fields); no answer: an abstention."""
    made = [dialogue(q, a or "It is not documented.", **f) for q, a, f in rows]
    return [claim_of(d, answers=d.answer != "It is not documented.") for d in sorted(made, key=lambda d: d.id)]


def found(*rows):
    return [one for a, b in itertools.combinations(claims(*rows), 2) if (one := conflict(a, b))]


def lost(*rows) -> dict[str, str]:
    """The evidence by the answers that go."""
    answers = {d.id: d.answer for q, a, f in rows if (d := dialogue(q, a or "It is not documented.", **f))}
    return {answers[id_]: why for one in found(*rows) for id_, why in one.evidence()}


def test_the_newer_wins_and_both_rows_and_sentences_are_named():
    old, new = (ASKED, "Halden Bank keeps invoices for 10 years.", {}), (OTHER, "It is 8 years. Good.", {})
    told = lost((*old[:2], {"effective": "2024-01-01"}), (*new[:2], {"effective": "2025-01-01"}))
    winner = dialogue(*new[:2], effective="2025-01-01")
    assert told == {
        old[1]: f"contradicts {winner.id} (10 years against 8 years), which is newer (effective 2025-01-01): "
        f'"{old[1]}" against "It is 8 years."'
    }


def test_the_reviewed_wins_where_no_day_tells():
    told = lost((ASKED, "10 years.", {"reviewed": "accepted"}), (OTHER, "8 years.", {}))
    assert list(told) == ["8 years."]
    assert "which is reviewed" in told["8 years."]


def test_a_newer_day_stands_above_a_review():
    rows = (ASKED, "10 years.", {"reviewed": "accepted"}), (OTHER, "8 years.", {"effective": "2025-01-01"})
    assert list(lost(*rows)) == ["10 years."]


def test_both_go_where_nothing_tells():
    told = lost((ASKED, "10 years.", {}), (OTHER, "8 years.", {}))
    assert set(told) == {"10 years.", "8 years."}
    assert all("an expert settles it" in why for why in told.values())


def test_an_abstention_loses_to_an_answer_of_its_own_question_only():
    assert list(lost((ASKED, "10 years.", {}), (ASKED, "", {}))) == ["It is not documented."]
    assert lost((ASKED, "10 years.", {}), (OTHER, "", {})) == {}


def test_code_in_an_answer_claims_nothing():
    assert lost((ASKED, "```python\nf(1)\n```", {}), (ASKED, "```python\nf(2)\n```", {})) == {}
    assert set(lost((ASKED, '{"years": 1}', {}), (ASKED, "2", {}))) == {'{"years": 1}', "2"}


def test_what_is_too_long_for_a_sentence_claims_nothing():
    (claim,) = claims((ASKED, f"It is 10 years. X{'x' * 5000} 8.", {}))
    assert [one.sentence for one in claim.statements] == ["It is 10 years."]


@given(st.permutations([
    (ASKED, "10 years.", {}), (OTHER, "8 years.", {"effective": "2025-01-01"}), (OTHER, "Ten years.", {}),
    (ASKED, "8 years.", {"reviewed": "edited"}), ("Who signs transfers at Halden Bank?", "Two officers.", {}),
]))  # fmt: skip
def test_the_order_of_the_rows_does_not_matter(rows):
    assert lost(*rows) == lost(*sorted(rows, key=str))


NEWER, REVIEWED, ENDED = {"effective": "2025-01-01"}, {"reviewed": "edited"}, {"superseded": "2025-06-30"}


@pytest.mark.parametrize(
    ("one", "other", "by", "day"),
    [
        (NEWER, {"effective": "2024-01-01"}, "effective", "2025-01-01"),
        (NEWER, REVIEWED, "effective", "2025-01-01"),
        (REVIEWED, {}, "reviewed", ""),
        ({}, ENDED, "superseded", "2025-06-30"),
        ({}, {}, "expert", ""),
        (NEWER, {"effective": "2025-01-01T12:00:00"}, "expert", ""),  # of one day
    ],
)
def test_the_verdict_names_rows_sentences_and_what_decided(one, other, by, day):
    rows = (ASKED, "It is 10 years. Good.", one), (OTHER, "8 years.", other)
    (verdict,) = found(*rows)
    ids = {dialogue(q, a, **f).id: a for q, a, f in rows}
    assert {verdict.first, verdict.second} == set(ids)
    said = {verdict.first: verdict.first_sentence, verdict.second: verdict.second_sentence}
    assert {ids[id_]: sentence for id_, sentence in said.items()} == {
        rows[0][1]: "It is 10 years.",
        rows[1][1]: "8 years.",
    }
    assert (verdict.by, verdict.day, verdict.found_by) == (by, day, "rules")
    assert ids.get(verdict.wins, "") == ("" if by == "expert" else rows[0][1])


def test_an_answer_against_none_has_no_sentences():
    (verdict,) = found((ASKED, "10 years.", {}), (ASKED, "", {}))
    assert (verdict.by, verdict.first_sentence, verdict.second_sentence) == ("answers", "", "")


def test_what_rules_do_not_settle_is_left_open_with_the_closest_sentences():
    opened = left_open(*claims((ASKED, "Nobody knows. Halden Bank keeps invoices for good.", {}),
                               (ASKED, "Invoices are shredded by Halden Bank at once.", {})), 0.2)  # fmt: skip
    closest = {said[i] for said, i in zip(opened.said, opened.closest, strict=True)}
    assert closest == {"Halden Bank keeps invoices for good.", "Invoices are shredded by Halden Bank at once."}
    assert opened.questions == (ASKED, ASKED)
    assert opened.verdict.by == "expert"


@pytest.mark.parametrize(
    "other",
    [
        (ASKED, "Halden Bank keeps invoices for good.", {"task": "t"}),  # the same words
        ("How long does Velmar Bank keep invoices?", "Velmar Bank shreds invoices.", {}),  # of another one
        ("Who is the head of `f`?", "Nobody is.", {}),
        (ASKED, "", {}),
    ],
)
def test_what_is_the_same_or_of_another_thing_is_not_open(other):
    assert left_open(*claims((ASKED, "Halden Bank keeps invoices for good.", {}), other), 0.2) is None


def test_names_in_code_are_part_of_every_key():
    a, b = claims(("What is `a` for?", "For rows.", {}), ("What is `b` for?", "For rows.", {}))
    assert not a.keys & b.keys
    assert a.keys == claims(("What is `a` for?", "For rows.", {"task": "t"}))[0].keys
