"""Which of two claims goes, and on what evidence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metier.text.claims import claim_of, conflicts
from tests.fixtures.stage_alone import dialogue

ASKED, OTHER = "How long does Halden Bank keep invoices?", "What is the retention period for invoices at Halden Bank?"


def lost(*rows, most: int = 64) -> dict[str, str]:
    """The evidence by the answers that go. Rows are (question, answer, fields); no answer: an abstention."""
    made = {d.id: d for d in (dialogue(q, a or "It is not documented.", **f) for q, a, f in rows)}
    claims = [claim_of(d, answers=d.answer != "It is not documented.") for d in made.values()]
    return {made[one].answer: why for found in conflicts(claims, most) for one, why in found.evidence()}


def test_the_newer_wins_and_both_rows_and_sentences_are_named():
    old, new = (ASKED, "Halden Bank keeps invoices for 10 years.", {}), (OTHER, "It is 8 years. Good.", {})
    found = lost((*old[:2], {"effective": "2024-01-01"}), (*new[:2], {"effective": "2025-01-01"}))
    winner = dialogue(*new[:2], effective="2025-01-01")
    assert found == {
        old[1]: f"contradicts {winner.id} (10 years against 8 years), which is newer (effective 2025-01-01): "
        f'"{old[1]}" against "It is 8 years."'
    }


def test_the_reviewed_wins_where_no_day_tells():
    found = lost((ASKED, "10 years.", {"reviewed": "accepted"}), (OTHER, "8 years.", {}))
    assert list(found) == ["8 years."]
    assert "which is reviewed" in found["8 years."]


def test_a_newer_day_stands_above_a_review():
    rows = (ASKED, "10 years.", {"reviewed": "accepted"}), (OTHER, "8 years.", {"effective": "2025-01-01"})
    assert list(lost(*rows)) == ["10 years."]


def test_both_go_where_nothing_tells():
    found = lost((ASKED, "10 years.", {}), (OTHER, "8 years.", {}))
    assert set(found) == {"10 years.", "8 years."}
    assert all("an expert settles it" in why for why in found.values())


def test_an_abstention_loses_to_an_answer_of_its_own_question_only():
    assert list(lost((ASKED, "10 years.", {}), (ASKED, "", {}))) == ["It is not documented."]
    assert lost((ASKED, "10 years.", {}), (OTHER, "", {})) == {}


def test_code_in_an_answer_claims_nothing():
    assert lost((ASKED, "```python\nf(1)\n```", {}), (ASKED, "```python\nf(2)\n```", {})) == {}
    assert set(lost((ASKED, '{"years": 1}', {}), (ASKED, "2", {}))) == {'{"years": 1}', "2"}


@given(st.permutations([
    (ASKED, "10 years.", {}), (OTHER, "8 years.", {"effective": "2025-01-01"}), (OTHER, "Ten years.", {}),
    (ASKED, "8 years.", {"reviewed": "edited"}), ("Who signs transfers at Halden Bank?", "Two officers.", {}),
]))  # fmt: skip
def test_the_order_of_the_rows_does_not_matter(rows):
    assert lost(*rows) == lost(*sorted(rows, key=str))
