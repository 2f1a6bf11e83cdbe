"""Check digits: what tells a number of a card, an account or a patient from any number of that length."""

from __future__ import annotations

from collections.abc import Callable


def bare(written: str) -> str:
    """The letters and digits without the marks between them, in capitals."""
    return "".join(c for c in written if c.isascii() and c.isalnum()).upper()


def luhn_digit(payload: str) -> str:
    """The digit that follows `payload` (ISO/IEC 7812-1, annex B)."""
    doubled = [sum(divmod(2 * int(d), 10)) for d in payload[::-2]]
    return str(-(sum(doubled) + sum(int(d) for d in payload[-2::-2])) % 10)


def luhn(written: str) -> bool:
    """Whether the last digit is that of the others."""
    digits = bare(written)
    return len(digits) > 1 and digits.isdigit() and luhn_digit(digits[:-1]) == digits[-1]


def _mod97(text: str) -> int:
    return int("".join(str(int(c, 36)) for c in text)) % 97


def iban_digits(country: str, account: str) -> str:
    """The two check digits between country and account (ISO 13616, ISO 7064 mod 97-10)."""
    return f"{98 - _mod97(f'{account}{country}00'):02d}"


def iban(written: str) -> bool:
    """Whether an international account number's check digits are right."""
    text = bare(written)
    return len(text) > 4 and _mod97(text[4:] + text[:4]) == 1


def nhs_digit(payload: str) -> str:
    """The tenth digit of a British patient's number (NHS Data Dictionary); empty where those nine are never given out."""
    check = 11 - sum(int(d) * weight for d, weight in zip(payload, range(10, 1, -1), strict=True)) % 11
    return "" if check == 10 else str(check % 11)


def nhs(written: str) -> bool:
    """Whether the last of ten digits is that of the others."""
    digits = bare(written)
    return len(digits) == 10 and digits.isdigit() and nhs_digit(digits[:-1]) == digits[-1]


def routing(written: str) -> bool:
    """Whether nine digits are an American bank's routing number."""
    digits = bare(written)
    weights = (3, 7, 1) * 3
    return (
        len(digits) == 9
        and digits.isdigit()
        and sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 10 == 0
    )


CHECKSUMS: dict[str, Callable[[str], bool]] = {"luhn": luhn, "mod97": iban, "nhs": nhs, "routing": routing}
