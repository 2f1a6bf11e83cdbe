"""Quantities in one spelling, whatever the unit, and which can't both hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.quantities import clash, quantities, same, split_off


def dimensions(text: str) -> list[tuple[str, float | str]]:
    return [(q.dimension, q.value) for q in quantities(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5 kg or 5,000 g", [("mass", 5000), ("mass", 5000)]),
        ("two weeks, a 14-day term", [("time", 1_209_600), ("time", 1_209_600)]),
        ("€1,500, EUR 1500 or 1.5 thousand euros", [("eur", 1500), ("eur", 1500), ("eur", 1500)]),
        ("Python 3.11 and version 4.10", [("version", "3.11"), ("version", "4.10")]),
        ("Limit 4.5 kg", [("mass", 4500)]),
        ("on 3 March 2025, March 3rd, 2025 or 2025-03-03", [("date", "2025-03-03")] * 3),
        ("since March 2025", [("date", "2025-03")]),
        ("the consent of two officers", [("count:offic", 2)]),
        ("retried three times, or twice", [("number", 3), ("number", 2)]),
        ("41 °F is 5 degrees Celsius", [("temperature", 5), ("temperature", 5)]),
        ("25 per cent of the members", [("percent", 25)]),
        ("One has 30 minutes to appeal", [("time", 1800)]),
        ("from -1 to 1e-05", [("number", -1), ("number", 0.00001)]),
        ("a float32 tensor", []),
        ("no one is here", []),
    ],
)
def test_a_quantity_has_one_spelling(text, found):
    assert dimensions(text) == [(dimension, pytest.approx(value) if not isinstance(value, str) else value)
                                for dimension, value in found]  # fmt: skip


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("5 kg", "5000 g"),
        ("2 years", "24 months"),
        ("30 days", "one month"),
        ("1 GB", "1024 MB"),
        ("41 °F", "5 °C"),
        ("March 2025", "3 March 2025"),
        ("version 4.0", "4"),
        ("5 euros", "7 dollars"),
        ("12 months", "2 officers"),
        ("5 euros", "5 euros within 3 days"),
    ],
)
def test_these_may_both_hold(a, b):
    assert clash(quantities(a), quantities(b)) == clash(quantities(b), quantities(a)) == ""


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ("5 kg", "500 g", "5 kg against 500 g"),
        ("30 days", "three months", "30 days against three months"),
        ("version 2.1", "version 2.10", "2.1 against 2.10"),
        ("100 units", "250", "100 against 250"),
        ("5 euros in 3 days", "5 euros in 4 days", "3 days against 4 days"),
    ],
)
def test_these_clash(a, b, why):
    assert clash(quantities(a), quantities(b)) == why


def test_more_of_two_kinds_is_no_clash():
    assert clash(quantities("5 euros, 7 euros, 3 days"), quantities("5 euros, 3 days, 4 days")) == ""


def test_the_rest_of_a_sentence_keeps_its_words():
    assert split_off("The consent of 2 officers costs 5 euros.")[1] == "The consent of officers costs ."


@given(
    st.lists(st.sampled_from(["5 kg", "5000 g", "7 days", "1 week", "3 euros", "2025-01-01", "4.2", "six officers"]))
)
def test_nothing_clashes_with_itself(parts):
    found = quantities(", ".join(parts))
    assert clash(found, found) == ""
    assert same(found, found)


@given(st.integers(1, 10_000))
def test_the_unit_does_not_matter(kilograms):
    assert same(quantities(f"{kilograms} kg"), quantities(f"{1000 * kilograms:,} grams"))
    assert clash(quantities(f"{kilograms} kg"), quantities(f"{kilograms} g"))
