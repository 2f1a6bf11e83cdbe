"""Names that are announced or listed are found; words, classes and terms of the trade are not."""

from __future__ import annotations

import pytest

from metier.text.names import lists, people


def found(text: str) -> set[str]:
    return {text[f.start : f.end] for f in people(text)}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("We met Anna Meier on Monday.", "Anna Meier"),
        ("by John Q. Smith and others", "John Q. Smith"),
        ("J. Okafor wrote it", "J. Okafor"),
        ("Ask Maria de Souza", "Maria"),
        ("Fatima Al Haddad agreed", "Fatima Al Haddad"),
        ("Katarzyna Nowak-Jensen left", "Katarzyna Nowak-Jensen"),
        ("Mr Xqzzt signed", "Xqzzt"),
        ("Dr. Brown-Unlisted called", "Brown-Unlisted"),
        ("Dear Priya,", "Priya"),
        ("The patient, Thomas Unlistedname, slept", "Thomas Unlistedname"),
        ("Signed-off-by: Olga Petrova", "Olga Petrova"),
        ('author = "Yuki Tanaka"', "Yuki Tanaka"),
        ("Kind regards,\nLars", "Lars"),
    ],
)
def test_a_name_is_found(text, name):
    assert any(name in one for one in found(text))


@pytest.mark.parametrize(
    "text",
    [
        "Hello World, and Dear Customer,",
        "the Adam optimizer, Xavier initialization and a Jordan form",
        "class RayCluster: name = 'Samuel'",
        "Will Mark Grace this May?",
        "import Robin.Smith; Martin(Walker); https://x.io/Anna/Meier",
        "Mean Squared Error of Data Frame",
        "anna meier in small letters",
    ],
)
def test_what_is_no_name_is_left_alone(text):
    assert found(text) == set()


def test_the_lists_hold_each_name_in_one_place_only():
    given, ambiguous, family = (lists()[name] for name in ("given", "ambiguous", "family"))
    assert len(given) > 500
    assert len(family) > 300
    assert not given & ambiguous
    assert all(name[0].isupper() for name in given | ambiguous | family)
