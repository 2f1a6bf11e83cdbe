"""Published numbers have right check digits, and one wrong digit is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.checksums import CHECKSUMS, bare, iban_digits, luhn_digit, nhs_digit

PUBLISHED = {
    "luhn": ("4111 1111 1111 1111", "378282246310005", "79927398713"),
    "mod97": ("DE89 3704 0044 0532 0130 00", "GB82 WEST 1234 5698 7654 32", "fr14 2004 1010 0505 0001 3m02 606"),
    "nhs": ("943 476 5919", "4010232137"),
    "routing": ("021000021", "111000025", "0260-0959-3"),
}


@pytest.mark.parametrize(("name", "written"), [(name, one) for name, many in PUBLISHED.items() for one in many])
def test_a_published_number_is_right_and_no_other_last_digit_is(name, written):
    assert CHECKSUMS[name](written)
    end = int(written[-1])
    for other in range(10):
        assert CHECKSUMS[name](f"{written[:-1]}{other}") == (other == end)


@pytest.mark.parametrize("name", CHECKSUMS)
def test_what_is_no_number_of_the_kind_is_refused(name):
    for written in ("", "x", "12", "abcdefghij"):
        assert not CHECKSUMS[name](written)


@given(st.from_regex(r"[0-9]{1,20}", fullmatch=True))
def test_a_made_digit_is_right(payload):
    assert CHECKSUMS["luhn"](payload + luhn_digit(payload))
    assert CHECKSUMS["mod97"](f"DE{iban_digits('DE', payload)}{payload}")
    nine = payload.zfill(9)[:9]
    if check := nhs_digit(nine):
        assert CHECKSUMS["nhs"](nine + check)


def test_marks_and_what_is_no_plain_letter_are_left_out():
    assert bare("ab-12 é³ß") == "AB12"
