"""Personal data in text: every recogniser's finds, in order and without overlaps. No model is downloaded.

What has a form is found by `forms`, `credentials`, an own pattern for mailboxes and Presidio's recognisers of telephones,
IBANs, wallets and addresses of machines; names of people by lists and the words around them (`names`), or by a model that
the user names (`name_models`); a domain's own numbers by the user's patterns (`domain_identifiers`).
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, get_args

from metier.text.credentials import secrets
from metier.text.forms import FORMS, Found
from metier.text.names import people
from metier.text.predefined import mailboxes, predefined

Kind = Literal[
    "EMAIL_ADDRESS", "PHONE_NUMBER", "IBAN_CODE", "CREDIT_CARD", "US_SSN", "IP_ADDRESS", "PASSPORT", "DRIVING_LICENCE", "UK_NHS",
    "MEDICAL_RECORD", "BANK_ACCOUNT", "MAC_ADDRESS", "SECRET", "CRYPTO", "TAX_NUMBER", "LICENCE_PLATE", "DATE_OF_BIRTH", "PERSON",
    "DATE",
]  # fmt: skip
KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "DATE")
"""All kinds but DATE: most days in a text are no one's."""

Finder = Callable[[str], list[Found]]
"""Gives what is personal in a text, in order, without overlaps."""
Recogniser = Callable[[str], Iterable[Found]]
_WORD_START = re.compile(r"(?<!\w)\S")
SHORTEST = 5  # characters of an identifier that is looked for again, where nothing names it


def recognisers(kinds: Sequence[Kind]) -> list[Recogniser]:
    """What looks for these kinds."""
    found: list[Recogniser] = [form.finds for form in FORMS if form.kind in kinds]
    if "EMAIL_ADDRESS" in kinds:
        found.append(mailboxes)
    if "SECRET" in kinds:
        found.append(secrets)
    if "PERSON" in kinds:
        found.append(people)
    return [*found, *predefined(kinds)]


def finder(kinds: Sequence[Kind], threshold: float, more: Sequence[Recogniser] = ()) -> Finder:
    """Finds these kinds, and what `more` recognisers find, where they are at least as sure as `threshold`."""
    all_of = [*recognisers(kinds), *more]

    def find(text: str) -> list[Found]:
        return clear(one for recogniser in all_of for one in recogniser(text) if one.score >= threshold)

    return find


def clear(finds: Iterable[Found]) -> list[Found]:
    """Finds in order without overlaps: the surer one stays, then the longer."""
    kept: list[Found] = []
    for one in sorted(finds, key=lambda f: (-f.score, f.start - f.end, f.start, f.kind)):
        at = bisect.bisect(kept, one.start, key=lambda f: f.start)
        if (at == 0 or kept[at - 1].end <= one.start) and (at == len(kept) or one.end <= kept[at].start):
            kept.insert(at, one)
    return kept


def throughout(texts: Iterable[str], find: Finder) -> Finder:
    """Finds also the other places, in the texts of one record, of what was recognised in one of them.

    A number that is named once ("MRN 00123456") and then only mentioned ("00123456 was merged") is the same secret.
    """
    known: dict[str, list[Found]] = {text: find(text) for text in texts}
    kinds: dict[str, str] = {}
    for text, finds in known.items():
        for one in finds:
            value = text[one.start : one.end]
            if len(value) >= SHORTEST and (" " in value or any(c.isdigit() for c in value)):
                kinds.setdefault(value, one.kind)
    by_head: dict[str, list[str]] = {}  # one pass over a text, however many values there are
    for value in sorted(kinds, key=len, reverse=True):
        by_head.setdefault(value[:SHORTEST], []).append(value)

    def mentions(text: str) -> Iterator[Found]:
        for word in _WORD_START.finditer(text):
            start = word.start()
            for value in by_head.get(text[start : start + SHORTEST], ()):
                end = start + len(value)
                if text.startswith(value, start) and not (text[end : end + 1].isalnum() and value[-1].isalnum()):
                    yield Found(kinds[value], start, end, score=0.0)
                    break

    def found(text: str) -> list[Found]:
        finds = known[text] if text in known else find(text)  # a KeyError would tell the text to a log
        return clear([*finds, *mentions(text)]) if kinds else finds

    return found
