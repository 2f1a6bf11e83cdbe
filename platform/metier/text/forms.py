"""Identifiers that are known by their form, their check digits and the words near them: own patterns, each bounded.

Presidio's recognisers of the same kinds take a short form alone for a find, or add up scores of words that stand anywhere
near. Technical prose is full of numbers, so here a form that is not unmistakable needs a phrase that names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from metier.text import checksums
from metier.text.written_days import WRITTEN_DAY

BEFORE, AFTER = 40, 30  # characters around a find in which the phrase that names it may stand
SURE, NAMED, ALONE = 1.0, 0.8, 0.6  # by check digits or an issuer's own mark; by form and phrase; by form


@dataclass(frozen=True)
class Found:
    """One piece of personal data: its kind, its place in the text, and how sure that is."""

    kind: str
    start: int
    end: int
    score: float = SURE


@dataclass(frozen=True)
class Form:
    """One way in which a kind is written. The group `value`, where there is one, is what is personal."""

    kind: str
    pattern: re.Pattern[str]
    near: re.Pattern[str] | None = None
    holds: Callable[[str], bool] | None = None
    score: float = NAMED

    def finds(self, text: str) -> Iterator[Found]:
        """All places in `text`, in order."""
        if self.near and not self.near.search(text):
            return
        group = "value" if "value" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(text):
            start, end = match.span(group)
            if self._named(text, start, end) and (self.holds is None or self.holds(text[start:end])):
                yield Found(self.kind, start, end, self.score)

    def _named(self, text: str, start: int, end: int) -> bool:
        if self.near is None:
            return True
        before, after = text[max(0, start - BEFORE) : start], text[end : end + AFTER]
        return bool(self.near.search(before) or self.near.search(after))


def phrase(*words: str) -> re.Pattern[str]:
    """Any of the words, whole or as a part of a name (`tax` in `customer_tax_id`, not in `syntax`).

    A space in it stands for whatever may part two words in prose and in code: nothing, spaces, marks, a line's end.
    """
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(w.replace(' ', PART) for w in words)})(?![^\W_])", re.I)


PART = r"[\s_.\-]{0,3}"
NUMBER = r"(?:numbers?|num|no|nr|ids?|#|code)"


def _digits(written: str) -> int:
    return sum(c.isdigit() for c in written)


def _at_least(count: int) -> Callable[[str], bool]:
    return lambda written: _digits(written) >= count


def _mixed(written: str) -> bool:
    return any(c.isdigit() for c in written) and any(c.isalpha() for c in written)


def is_card(written: str) -> bool:
    """A length and a beginning that a network gives out, and the check digit (ISO/IEC 7812)."""
    digits = checksums.bare(written)
    first, length = int(digits[:4]), len(digits)
    known = (
        (digits[0] == "4" and length in (13, 16, 19))
        or ((51 <= first // 100 <= 55 or 2221 <= first <= 2720) and length == 16)
        or (first // 100 in (34, 37) and length == 15)
        or ((first == 6011 or first // 100 in (35, 62, 65) or 644 <= first // 10 <= 649) and 16 <= length <= 19)
        or ((first // 100 in (36, 38, 39) or 300 <= first // 10 <= 305) and length == 14)
    )
    return known and checksums.luhn(digits)


def is_ssn(written: str) -> bool:
    """Neither of the areas, groups and serials that are never given out, nor the number of the wallet advertisement."""
    digits = checksums.bare(written)
    area = digits[:3]
    unused = area in ("000", "666") or area[0] == "9" or digits[3:5] == "00" or digits[5:] == "0000"
    return not unused and digits not in ("123456789", "078051120")


def _is_dialled(written: str) -> bool:
    """As many digits as a number has, and no day, decimals, version or list: points part all of its groups or none."""
    marks = set(re.findall(r"[^\d ]", written))
    groups = re.findall(r"\d+", written)
    pointed = "." not in marks or (
        marks == {"."} and len(groups) >= 3 and min(map(len, groups)) >= 2 and " " not in written
    )
    return 7 <= _digits(written) <= 15 and pointed and not WRITTEN_DAY.search(written)


def _is_device(written: str) -> bool:
    digits = checksums.bare(written)
    return digits not in ("0" * 12, "F" * 12) and not digits.isdigit()


_PASSPORT = phrase("passports?", f"passport {NUMBER}")
_DRIVER = phrase(r"driv(?:er|ing)\W?s? licen[cs]e", f"licen[cs]e {NUMBER}", "dl no", "dln")
_NHS = phrase("nhs", "national health(?: service)?")
_RECORD = phrase("mrn", "medical record", f"(?:patient|hospital|chart) {NUMBER}")
_ACCOUNT = phrase(
    f"acc(?:oun)?t {NUMBER}",
    "bank acc(?:oun)?t",
    f"bank account {NUMBER}",
    f"routing {NUMBER}",
    "aba",
    "aba routing",
    "sort code",
)
_DEVICE = phrase("mac", "mac addr(?:ess)?", "ether", "hardware addr(?:ess)?", "hwaddr", "device", "arp")
_TAX = phrase(
    "vat", "tax", "tax payer", "ein", "tin", "itin", "utr", "nino", "national insurance", "ust", "tva", "mwst"
)
_PLATE = phrase("plates?", "(?:licen[cs]e|number) plate", f"registration {NUMBER}", "vehicle reg(?:istration)?")
_BIRTH = phrase("born", "birth", "dob", r"d\.o\.b", "birth ?da(?:y|te)")
_SOCIAL = phrase("ssn", "social security")
CALLED = phrase(
    "(?:tele)?phone[sd]?",
    "tel",
    "call(?:s|ed|ing)?",
    "mobile",
    "cell",
    "fax",
    "ring(?:s|ing)?",
    "dial(?:s|led)?",
    "sms",
    "whatsapp",
)

_CODE = r"(?<![\w\-./])(?=[A-Z\d-]{{{low},{high}}}(?![\w\-]))[A-Z\d](?:[A-Z\d-]*[A-Z\d])?(?![\w\-]|\.\w)"
_EDGE, _END = r"(?<![\w.\-/])", r"(?![\w\-/]|\.\d)"
_VAT = (
    r"(?:AT)?U\d{8}|(?:BE ?[01]|BG|CZ|HR|LV|PL|RO|SK|SI|FI|HU|LU|DK|EE|EL|DE|IT|PT|LT|MT|SE|CY)[ .]?\d{8,12}[A-Z]?"
    r"|FR ?[A-Z\d]{2} ?\d{9}|ES ?[A-Z\d]\d{7}[A-Z\d]|IE ?\d[A-Z\d+*]\d{5}[A-Z]{1,2}|NL ?\d{9}B\d{2}"
    r"|(?:GB|XI) ?\d{3} ?\d{4} ?\d{2}(?: ?\d{3})?|CHE-?\d{3}\.?\d{3}\.?\d{3}(?: ?(?:MWST|TVA|IVA))?"
)


def _form(kind: str, pattern: str, near: re.Pattern[str] | None = None, **more: object) -> Form:
    return Form(kind, re.compile(pattern), near, **more)  # type: ignore[arg-type]


FORMS: tuple[Form, ...] = (
    _form("CREDIT_CARD", rf"{_EDGE}(?:\d[ -]?){{12,18}}\d{_END}", None, holds=is_card, score=SURE),
    _form("US_SSN", rf"{_EDGE}\d{{3}}-\d{{2}}-\d{{4}}{_END}", None, holds=is_ssn),
    _form("US_SSN", rf"{_EDGE}\d{{3}}([ .]?)\d{{2}}\1\d{{4}}{_END}", _SOCIAL, holds=is_ssn, score=SURE),
    _form("PHONE_NUMBER", rf"{_EDGE}\(?\d[\d ().\-/]{{5,20}}\d{_END}", CALLED, holds=_is_dialled),
    _form("PHONE_NUMBER", rf"(?<![\w+])\+[1-9](?:[ .\-/()]{{0,2}}\d){{7,14}}{_END}", None, holds=_at_least(9)),
    _form("PASSPORT", rf"{_EDGE}(?:[A-Z]{{1,2}}\d{{6,8}}|\d{{9}}|\d{{2}}[A-Z]{{2}}\d{{5}}){_END}", _PASSPORT),
    _form("PASSPORT", rf"{_EDGE}[CFGHJK][CFGHJ-NPRTV-Z\d]{{8}}{_END}", _PASSPORT, holds=_mixed),
    _form("DRIVING_LICENCE", r"\b[A-Z9]{5}\d(?:[05][1-9]|[16][0-2])(?:0[1-9]|[12]\d|3[01])\d[A-Z9]{2}[A-Z\d][A-Z]{2}\b",
          None, holds=_at_least(6), score=SURE),
    _form("DRIVING_LICENCE", _CODE.format(low=7, high=19), _DRIVER, holds=_at_least(5)),
    _form("UK_NHS", rf"{_EDGE}\d{{3}}([ -]?)\d{{3}}\1\d{{4}}{_END}", _NHS, holds=checksums.nhs, score=SURE),
    _form("MEDICAL_RECORD", _CODE.format(low=5, high=14), _RECORD, holds=_at_least(5)),
    _form("BANK_ACCOUNT", rf"{_EDGE}(?:\d{{6,17}}|\d{{4}} \d{{4}}|\d{{2}}-\d{{2}}-\d{{2}}(?: +\d{{8}})?){_END}", _ACCOUNT),
    _form("MAC_ADDRESS", r"(?<![\w:-])[\da-fA-F]{2}([:-])(?:[\da-fA-F]{2}\1){4}[\da-fA-F]{2}(?![\w-]|:\w)", None, holds=_is_device),
    _form("MAC_ADDRESS", r"(?<![\w.])(?:[\da-fA-F]{4}\.){2}[\da-fA-F]{4}(?!\w|\.\w)", None, holds=_is_device),
    _form("MAC_ADDRESS", r"(?<![\w:.-])(?:\d{2}([:-])(?:\d{2}\1){4}\d{2}|\d{4}\.\d{4}\.\d{4})(?![\w:-]|\.\w)", _DEVICE),
    _form("CRYPTO", r"(?<!\w)0x[\da-fA-F]{40}(?!\w)", None, holds=lambda w: len(set(w)) > 8, score=SURE),
    _form("TAX_NUMBER", rf"{_EDGE}(?:{_VAT}){_END}", _TAX),
    _form("TAX_NUMBER", rf"{_EDGE}(?:\d{{2}}-\d{{7}}|9\d{{2}}-\d{{2}}-\d{{4}}|\d{{8,11}}){_END}", _TAX),
    _form("TAX_NUMBER", r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] \d\d \d\d \d\d [A-D]\b", None, score=SURE),
    _form("TAX_NUMBER", r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]\b", _TAX),
    _form("LICENCE_PLATE", rf"{_EDGE}[A-Z\d]{{1,4}}(?:[ -][A-Z\d]{{1,4}}){{1,2}}{_END}", _PLATE, holds=_mixed),
    _form("LICENCE_PLATE", rf"{_EDGE}[A-Z\d]{{5,8}}{_END}", _PLATE, holds=_mixed),
    _form("DATE_OF_BIRTH", WRITTEN_DAY.pattern, _BIRTH),
    _form("DATE", WRITTEN_DAY.pattern, None, score=ALONE),
)  # fmt: skip
