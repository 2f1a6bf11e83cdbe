"""Surrogates that look like what they replace: a card for a card, an IBAN for an IBAN, a day for a day.

Digits become digits of the same length and grouping, check digits are made anew, and the same number is the same surrogate
everywhere, however it is grouped. Two numbers of one form never share a surrogate (`permutation`). Days move by one number of
days for the whole key, not one for each person: who a day belongs to is not known surely, and a wrong guess would break the
very intervals that the move is to keep. The price: whoever knows one true day knows them all.

What has no form to keep (names, mailboxes, secrets, wallets, addresses of machines) gets a keyed surrogate. So does a number
that is too short to have another of its form.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

from metier.text import checksums
from metier.text.forms import is_card, is_ssn
from metier.text.permutation import permuted
from metier.text.pseudonyms import Surrogate, keyed
from metier.text.written_days import moved

UNFORMED = frozenset({"EMAIL_ADDRESS", "IP_ADDRESS", "MAC_ADDRESS", "SECRET", "CRYPTO", "PERSON"})
DAYS = frozenset({"DATE", "DATE_OF_BIRTH"})
NEAREST, FARTHEST = 30, 1826  # days by which a day moves, to either side


def preserving(key: bytes) -> Surrogate:
    """Surrogates in the form of what they replace; keyed ones where there is no form."""
    plain, days = keyed(key), offset(key)

    def surrogate(kind: str, value: str) -> str:
        if kind in UNFORMED:
            return plain(kind, value)
        if kind in DAYS:
            return moved(value, days) or plain(kind, value)
        try:
            return regrouped(value, _REPLACED.get(kind, _whole)(value, key, kind))
        except ValueError:  # too few digits to be another number
            return plain(kind, value)

    return surrogate


def offset(key: bytes) -> int:
    """The days by which every day moves."""
    drawn = int.from_bytes(hmac.digest(key, b"days", hashlib.sha256)[:8], "big")
    width = FARTHEST - NEAREST + 1
    days = NEAREST + drawn % width
    return days if drawn // width % 2 else -days


def regrouped(written: str, replaced: str) -> str:
    """The characters of `replaced` in the places of the letters and digits of `written`, in their case."""
    chars = iter(replaced)
    return "".join(
        (next(chars).lower() if c.islower() else next(chars)) if c.isascii() and c.isalnum() else c for c in written
    )


def _whole(written: str, key: bytes, kind: str) -> str:
    return permuted(checksums.bare(written), key, kind)


def _card(written: str, key: bytes, kind: str) -> str:
    """The network's two digits stay, so that it is seen to be a card again."""
    bare = checksums.bare(written)

    def completed(payload: str) -> str:
        return bare[:2] + payload + checksums.luhn_digit(bare[:2] + payload)

    return completed(permuted(bare[2:-1], key, kind + bare[:2], lambda payload: is_card(completed(payload))))


def _iban(written: str, key: bytes, kind: str) -> str:
    bare = checksums.bare(written)
    account = permuted(bare[4:], key, kind + bare[:2])
    return bare[:2] + checksums.iban_digits(bare[:2], account) + account


def _nhs(written: str, key: bytes, kind: str) -> str:
    payload = permuted(checksums.bare(written)[:-1], key, kind, lambda p: checksums.nhs_digit(p) != "")
    return payload + checksums.nhs_digit(payload)


def _ssn(written: str, key: bytes, kind: str) -> str:
    return permuted(checksums.bare(written), key, kind, is_ssn)


def _after(pattern: str) -> Callable[[str, bytes, str], str]:
    """What begins like `pattern` (a country, a trunk prefix) stays, and the rest is the same with and without it."""

    def replaced(written: str, key: bytes, kind: str) -> str:
        bare = checksums.bare(written)
        begins = re.match(pattern, bare)
        kept = begins[0] if begins else ""
        return kept + permuted(bare[len(kept) :], key, kind)

    return replaced


def _telephone(written: str, key: bytes, kind: str) -> str:
    """The country's code and the trunk prefix stay: +44 20 7946 0958 and 020 7946 0958 are one number."""
    if not written.startswith("+"):
        return _after(r"0|1(?=\d{10}$)")(written, key, kind)
    import phonenumbers

    try:
        country = str(phonenumbers.parse(written).country_code)
    except phonenumbers.NumberParseException:
        return _whole(written, key, kind)
    return _after(rf"{country}0?")(written, key, kind)


_REPLACED: dict[str, Callable[[str, bytes, str], str]] = {
    "CREDIT_CARD": _card,
    "IBAN_CODE": _iban,
    "UK_NHS": _nhs,
    "US_SSN": _ssn,
    "TAX_NUMBER": _after(r"[A-Z]{2,3}(?=[A-Z]?\d)"),
    "PHONE_NUMBER": _telephone,
}
