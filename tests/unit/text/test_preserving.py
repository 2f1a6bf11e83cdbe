"""A surrogate has the form and the check digits of what it replaces, and is never the same."""

from __future__ import annotations

import random

import pytest

from metier.text.checksums import iban, luhn, nhs
from metier.text.forms import is_card, is_ssn
from metier.text.preserving import FARTHEST, NEAREST, offset, preserving

KEY = b"k" * 32
OURS = preserving(KEY)


def form(text: str) -> str:
    return "".join("0" if c.isdigit() else "A" if c.isupper() else "a" if c.islower() else c for c in text)


@pytest.mark.parametrize(
    ("kind", "value", "holds"),
    [
        ("CREDIT_CARD", "4111 1111 1111 1111", is_card),
        ("CREDIT_CARD", "3782-822463-10005", is_card),
        ("IBAN_CODE", "DE89 3704 0044 0532 0130 00", iban),
        ("IBAN_CODE", "GB82WEST12345698765432", iban),
        ("UK_NHS", "943 476 5919", nhs),
        ("US_SSN", "536-90-4399", is_ssn),
        ("PHONE_NUMBER", "+44 20 7946 0958", lambda v: v.startswith("+44 ")),
        ("PHONE_NUMBER", "(212) 555-0123", lambda v: True),
        ("TAX_NUMBER", "DE123456789", lambda v: v.startswith("DE")),
        ("PASSPORT", "C01X00T47", lambda v: True),
        ("CLAIM", "cl-0012", lambda v: True),
    ],
)
def test_the_form_and_the_check_digits_stay(kind, value, holds):
    made = OURS(kind, value)
    assert made != value
    assert form(made) == form(value)
    assert holds(made)
    assert made == preserving(KEY)(kind, value) != preserving(b"l" * 32)(kind, value)


def test_one_number_is_one_surrogate_however_it_is_written():
    plain = OURS("CREDIT_CARD", "4111111111111111")
    assert OURS("CREDIT_CARD", "4111-1111-1111-1111").replace("-", "") == plain
    assert luhn(plain)
    at_home, abroad = OURS("PHONE_NUMBER", "020 7946 0958"), OURS("PHONE_NUMBER", "+44 (0)20 7946 0958")
    assert abroad.removeprefix("+44 (0)") == at_home.removeprefix("0")
    assert OURS("PHONE_NUMBER", "+1 212 555 0123")[3:] == OURS("PHONE_NUMBER", "212 555 0123")


def test_two_numbers_never_meet():
    chooser = random.Random(1)
    numbers = {f"{chooser.randrange(10**6):06d}" for _ in range(3000)}
    assert len({OURS("MEDICAL_RECORD", number) for number in numbers}) == len(numbers)


def test_days_move_by_the_same_number_of_days():
    assert NEAREST <= abs(offset(KEY)) <= FARTHEST
    assert len({offset(bytes([n]) * 32) for n in range(50)}) > 40
    assert OURS("DATE_OF_BIRTH", "1984-03-12") != "1984-03-12"
    assert OURS("DATE_OF_BIRTH", "1984-03-12") == OURS("DATE", "1984-03-12")


@pytest.mark.parametrize(
    ("kind", "value"),
    [("PERSON", "Anna Meier"), ("EMAIL_ADDRESS", "a@acme.com"), ("DATE", "31.02.1984"), ("CLAIM", "–")],
)
def test_what_has_no_form_to_keep_gets_a_keyed_surrogate(kind, value):
    assert OURS(kind, value).startswith(f"<{kind}_")
