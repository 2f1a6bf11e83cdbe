"""Personal data is found, and technical prose stays as it is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.forms import Found
from metier.text.personal import KINDS, clear, finder, throughout


def found(text: str, *kinds: str) -> list[tuple[str, str]]:
    return [(f.kind, text[f.start : f.end]) for f in finder(kinds or KINDS, 0.4)(text)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Write to jane.doe@acme.com today.", "EMAIL_ADDRESS", "jane.doe@acme.com"),
        ("mailto:o'neil+x@corp.local", "EMAIL_ADDRESS", "o'neil+x@corp.local"),
        ("see https://acme.com,-jane@acme.com", "EMAIL_ADDRESS", "jane@acme.com"),
        ("müller@köln.de", "EMAIL_ADDRESS", "müller@köln.de"),
        ("Call +44 20 7946 0958.", "PHONE_NUMBER", "+44 20 7946 0958"),
        ("ring 212-555-0123 now", "PHONE_NUMBER", "212-555-0123"),
        ("call me at 212 555 0123", "PHONE_NUMBER", "212 555 0123"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
        ("paid by 4111 1111 1111 1111", "CREDIT_CARD", "4111 1111 1111 1111"),
        ("ssn 536-90-4399", "US_SSN", "536-90-4399"),
        ("login from 93.184.216.34", "IP_ADDRESS", "93.184.216.34"),
        ("client IP: 8.8.8.8", "IP_ADDRESS", "8.8.8.8"),
    ],
)
def test_personal_data_is_found(text, kind, value):
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "upgrade from 1.2.3.4 to 2.60.0",
        "@ray.remote(num_cpus=2)",
        "weights@inputs.transpose and a@b.T",
        "git@github.com:ray-project/ray.git",
        "https://user:pw@host.example.com/x",
        "ray://123.45.67.89:50005, 127.0.0.1:8000 and address 10.0.0.7",
        "2024-01-15 10:30:00 and 2024-01-15T10:30:00",
        "128 256 512 1024 2048 and 212 555 0123",
        "lr 0.1234567 1e-05 3.14159265",
        "id 550e8400-e29b-41d4-a716-446655440000",
        "max 1,000,000,000 rows, timeout 1716239022123 ms",
        "ISBN 978-3-16-148410-0",
        "x[1:10:2], a::b, std::vector",
        "sha 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c",
    ],
)
def test_technical_prose_holds_nothing_personal(text):
    assert found(text) == []


def test_only_the_kinds_that_are_asked_for_are_looked_for():
    text = "jane@acme.com, 4111 1111 1111 1111"
    assert found(text, "CREDIT_CARD") == [("CREDIT_CARD", "4111 1111 1111 1111")]
    assert finder((), 0.4)(text) == []


def test_finds_come_in_order_and_do_not_overlap():
    text = "a@acme.com b@acme.com +44 20 7946 0958"
    places = finder(KINDS, 0.4)(text)
    assert [f.kind for f in places] == ["EMAIL_ADDRESS", "EMAIL_ADDRESS", "PHONE_NUMBER"]
    assert all(a.end <= b.start for a, b in itertools.pairwise(places))


def test_a_very_long_document_is_no_obstacle():
    text = "word " * 210_000 + "jane@acme.com"
    assert found(text) == [("EMAIL_ADDRESS", "jane@acme.com")]


def test_every_default_kind_is_looked_for_and_a_day_only_on_demand():
    text = "Paid on 2024-03-12."
    assert "DATE" not in KINDS
    assert finder(KINDS, 0.4)(text) == []
    assert found(text, "DATE") == [("DATE", "2024-03-12")]


def test_how_sure_a_find_must_be_is_said():
    text = "Anna Meier, MRN 00123456, 4111 1111 1111 1111"
    assert [[f.kind for f in finder(KINDS, level)(text)] for level in (0.5, 0.7, 0.9)] == [
        ["PERSON", "MEDICAL_RECORD", "CREDIT_CARD"],
        ["MEDICAL_RECORD", "CREDIT_CARD"],
        ["CREDIT_CARD"],
    ]


def test_more_recognisers_take_part():
    def more(text: str):
        yield Found("CLAIM", 0, 4, 0.8)

    assert [f.kind for f in finder(("CREDIT_CARD",), 0.4, [more])("C-12 4111 1111 1111 1111")] == [
        "CLAIM",
        "CREDIT_CARD",
    ]


def test_what_is_named_once_is_found_wherever_it_stands_again():
    texts = ["MRN 00123456 of Anna Meier", "Then 00123456 was merged; 001234567 and Anna stay.", "plain"]
    find = throughout(texts, finder(KINDS, 0.4))
    assert [[t[f.start : f.end] for f in find(t)] for t in texts] == [["00123456", "Anna Meier"], ["00123456"], []]


def test_a_short_or_plain_word_is_not_looked_for_again():
    texts = ["Mr Brown signed", "a Brown field"]
    find = throughout(texts, finder(KINDS, 0.4))
    assert find(texts[1]) == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8), st.sampled_from([0.4, 0.8, 1.0])), max_size=12))
def test_cleared_finds_never_overlap_and_the_surest_stays(spans):
    finds = [Found("A", start, start + length, score) for start, length, score in spans]
    kept = clear(finds)
    assert all(a.end <= b.start for a, b in itertools.pairwise(kept))
    assert all(any(k.start < f.end and f.start < k.end and k.score >= f.score for k in kept) for f in finds)


def test_many_finds_in_a_long_text_are_no_obstacle():
    text = "".join(f"mail a{number}@acme.com " for number in range(30_000))
    assert len(throughout([text], finder(("EMAIL_ADDRESS",), 0.4))(text)) == 30_000
