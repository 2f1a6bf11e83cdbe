"""A form that is not unmistakable needs the words that name it."""

from __future__ import annotations

import pytest

from metier.text.forms import FORMS, phrase

NAMED = [
    ("passport no. {}", "PASSPORT", "C01X00T47"),
    ("passport_number = '{}'", "PASSPORT", "512345678"),
    ("The {} is her passport.", "PASSPORT", "K1234567"),
    ("driver's license {}", "DRIVING_LICENCE", "D1234567"),
    ("driving_licence: {}", "DRIVING_LICENCE", "F255-921-50-094-0"),
    ("NHS number {}", "UK_NHS", "943 476 5919"),
    ("MRN: {}", "MEDICAL_RECORD", "00123456"),
    ("patient_id: {}", "MEDICAL_RECORD", "MR-123456"),
    ("account number {}", "BANK_ACCOUNT", "31926819"),
    ("sort code and account: {}", "BANK_ACCOUNT", "60-16-13 31926819"),
    ("routing number {}", "BANK_ACCOUNT", "021000021"),
    ("VAT no. {}", "TAX_NUMBER", "DE136695976"),
    ("vat_id={}", "TAX_NUMBER", "FR40303265045"),
    ("EIN {}", "TAX_NUMBER", "12-3456789"),
    ("licence plate {}", "LICENCE_PLATE", "AB12 CDE"),
    ("plate='{}'", "LICENCE_PLATE", "B-MW 1234"),
    ("born on {}", "DATE_OF_BIRTH", "12 March 1984"),
    ("dob: {}", "DATE_OF_BIRTH", "1984-03-12"),
    ("SSN {}", "US_SSN", "536904399"),
    ("call {} now", "PHONE_NUMBER", "0161 496 0123"),
    ("mac {}", "MAC_ADDRESS", "12-34-56-78-90-12"),
]
ALONE = [
    ("CREDIT_CARD", "2223 0031 2200 3222"),
    ("US_SSN", "536-90-4399"),
    ("PHONE_NUMBER", "+442079460958"),
    ("DRIVING_LICENCE", "MORGA657054SM9IJ"),
    ("MAC_ADDRESS", "3c:22:fb:0a:91:7e"),
    ("MAC_ADDRESS", "3c22.fb0a.917e"),
    ("CRYPTO", "0x52908400098527886E0F7030069857D2E4169EE7"),
    ("TAX_NUMBER", "AB 12 34 56 C"),
]


def found(text: str) -> set[tuple[str, str]]:
    return {(f.kind, text[f.start : f.end]) for form in FORMS for f in form.finds(text) if f.kind != "DATE"}


@pytest.mark.parametrize(("around", "kind", "value"), NAMED)
def test_what_is_named_is_found_and_alone_it_is_not(around, kind, value):
    assert (kind, value) in found(around.format(value))
    assert (kind, value) not in found(f"a value of {value} here")


@pytest.mark.parametrize(("kind", "value"), ALONE)
def test_what_is_unmistakable_needs_no_name(kind, value):
    for text in (value, f"see {value}.", f"x = '{value}'", f"| {value} |"):
        assert (kind, value) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112 and 1716239022123456",
        "000-12-3456, 666-12-3456, 078-05-1120",
        "ff:ff:ff:ff:ff:ff and 00-00-00-00-00-00",
        "sha1 0x0000000000000000000000000000000000000000",
        "fingerprint 3c:22:fb:0a:91:7e:12:aa",
        "typing.Callable until 3.9.2, call it on 2023-01-21",
        "NHS number 943 476 5918",
        "ports 8080 and 5432; 10 20 30 40 50 60 70",
        "the taxonomy of plateaus, a syntax of 12345678",
        "accounts for 12345678 rows",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text):
    assert found(text) == set()


def test_a_phrase_holds_in_prose_and_in_code():
    named = phrase("tax no")
    assert all(named.search(text) for text in ("Tax no. 1", "tax_no=1", "TAX-NO", "taxNo", "customer_tax_no"))
    assert not any(named.search(text) for text in ("syntax no", "tax note", "taxi no"))


def test_a_name_too_far_away_names_nothing():
    assert found("passport " + "x" * 60 + " 512345678") == set()
