"""Words of one meaning have one name."""

from __future__ import annotations

from metier.text.synonyms import canonical, says_little


def test_words_of_a_group_and_their_forms_are_one():
    assert canonical("retention") == canonical("keeps") == canonical("stored")
    assert canonical("invoices") == canonical("invoice") != canonical("keep")


def test_who_does_something_is_not_what_is_done():
    assert canonical("workers") != canonical("works")


def test_words_beside_any_fact_say_little():
    assert says_little("Happens")
    assert not says_little("holdings")
