"""A user's pattern finds a domain's own numbers, and none can hang or surprise."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from metier.text.domain_identifiers import DomainIdentifier, recogniser

CASE = DomainIdentifier(kind="CASE_NUMBER", pattern=r"\bC-\d{4}\b")


def found(one: DomainIdentifier, text: str) -> list[tuple[str, str]]:
    return [(f.kind, text[f.start : f.end]) for f in recogniser(one)(text)]


def test_a_pattern_finds_its_numbers_where_they_stand():
    assert found(CASE, "Fälle C-1234 und C-99999, dann C-0001.") == [
        ("CASE_NUMBER", "C-1234"),
        ("CASE_NUMBER", "C-0001"),
    ]


def test_only_the_value_of_a_pattern_is_taken():
    one = DomainIdentifier(kind="POLICY", pattern=r"policy (?P<value>\d{6})")
    assert found(one, "policy 123456") == [("POLICY", "123456")]


def test_a_number_needs_its_words_where_it_has_some():
    one = DomainIdentifier(kind="CLAIM", pattern=r"\b\d{8}\b", context=("claim no", "Schaden"))
    assert found(one, "claim_no: 12345678") == found(one, "12345678 (Schaden)") == [("CLAIM", "12345678")]
    assert found(one, "rows: 12345678, reclaim nothing") == []


def test_a_number_needs_its_check_digits_where_it_has_some():
    one = DomainIdentifier(kind="MEMBER", pattern=r"\b\d{11}\b", checksum="luhn")
    assert found(one, "79927398713 79927398714") == [("MEMBER", "79927398713")]


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"(.*)*x", r"(\w+\s?)+z"])
def test_a_pattern_that_never_ends_elsewhere_is_through_at_once_or_refused(pattern):
    try:
        one = DomainIdentifier(kind="HOSTILE", pattern=pattern)
    except ValidationError as error:
        assert "matches an empty text" in str(error)  # noqa: PT017
        return
    assert found(one, "a" * 200_000 + "!") == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(\d)\1", "no back-reference"),
        (r"(?<=x)\d", "no look-around"),
        (r"((a{900}){900}){900}", "can't be run safely"),
        (r"[a-z", "missing"),
        (r"\d*", "matches an empty text"),
        ("x" * 501, "at most 500"),
    ],
)
def test_a_pattern_that_can_not_be_used_is_refused(pattern, why):
    with pytest.raises(ValidationError, match=why):
        DomainIdentifier(kind="REFUSED", pattern=pattern)


@pytest.mark.parametrize("kind", ["claim", "A", "1CLAIM", "CLAIM NO"])
def test_a_kind_is_written_in_capitals(kind):
    with pytest.raises(ValidationError, match="kind"):
        DomainIdentifier(kind=kind, pattern="x1")


def test_a_broken_character_is_no_obstacle():
    assert found(CASE, "\ud800 C-1234") == [("CASE_NUMBER", "C-1234")]
