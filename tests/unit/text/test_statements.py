"""What a sentence is about, apart from what it says of it."""

from __future__ import annotations

from metier.text.statements import statement

ASKED = "What does a credit card cost at Halden Bank?"


def test_words_names_and_values_are_told_apart():
    found = statement(ASKED, "Halden Bank charges 40 euros for the credit card.")
    assert found.names == {"halden", "bank"}
    assert found.said == {"=cost", "credit", "card"}
    assert [q.written for q in found.quantities] == ["40 euros"]


def test_the_first_word_is_no_name_by_its_capital():
    assert statement("", "Invoices are kept.").names == frozenset()
    assert statement("Are the Invoices of X kept?", "Invoices are kept.").names == {"invoices", "x"}


def test_a_clause_or_group_that_was_not_asked_for_is_a_condition():
    assert statement(ASKED, "For students it costs 5 euros.").conditions == (frozenset({"student"}),)
    assert statement(ASKED, "It is free if the account is new.").conditions == (frozenset({"account"}),)
    assert statement(ASKED, "For a credit card, 5 euros are due.").conditions == ()


def test_numbers_of_the_question_and_thresholds_narrow_the_answer():
    found = statement("What does a parcel of 10 kg cost?", "Above 50 euros, shipping costs 2 euros.")
    assert [q.written for q in found.thresholds] == ["10 kg", "50 euros"]
    assert [q.written for q in found.quantities] == ["2 euros"]


def test_names_in_code_belong_to_the_question():
    assert statement("What is `a` in ray.data.map for?", "For rows.").codes == {"a", "ray.data.map"}
