"""Personal data in text, found by Presidio's pattern recognisers on a blank spaCy pipeline (no model is downloaded).

Patterns find what has a form: addresses, numbers of accounts, cards and telephones. Names of people have none and are not
found. Technical prose is full of numbers, so a find must also look like what it is said to be: versions, sizes and
exponents are left alone.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import re
from collections.abc import Sequence
from typing import Any, Literal

Kind = Literal["EMAIL_ADDRESS", "PHONE_NUMBER", "IBAN_CODE", "CREDIT_CARD", "US_SSN", "IP_ADDRESS"]
_RECOGNISERS = {
    "PHONE_NUMBER": "PhoneRecognizer",
    "IBAN_CODE": "IbanRecognizer",
    "CREDIT_CARD": "CreditCardRecognizer",
    "US_SSN": "UsSsnRecognizer",
    "IP_ADDRESS": "IpRecognizer",
}
# Presidio's own recogniser of e-mail addresses fetches the list of top-level domains from the network when it can.
_EMAIL = r"(?<!\w)[\w][\w.+%'-]{0,63}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}\b"
_LIKELY = re.compile(r"@|\d[\d ().-]{5,}\d|[A-Z]{2}\d{2}|:[0-9a-fA-F]*:")  # without any of these nothing can be found
_INTERNAL = frozenset("corp home internal intranet lan local localdomain private".split())  # noqa: SIM905
_CALL = re.compile(r"\b(?:phone|telephone|tel|call|calls|called|mobile|cell|fax|ring|dial|whatsapp|sms)\b", re.I)
_HOST = re.compile(
    r"\b(?:(?:ip|ipv[46]|address|host|server|client|node|ping|ssh|subnet|gateway)\W*"
    r"|(?:login|logins|logged in|requests?|connections?|calls?|visitors?) from )$",
    re.I,
)
GROUPS_6 = 4  # written groups from which an IPv6 address is no slice and no C++ name
NEAR = 30  # characters before a find in which the word that explains it may stand


@dataclasses.dataclass(frozen=True)
class Found:
    """One piece of personal data: its kind and its place in the text."""

    kind: str
    start: int
    end: int


@functools.cache
def _domains() -> Any:
    """Takes domains apart by the list of top-level domains that travels with the package: nothing is fetched."""
    import tldextract

    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


@functools.cache
def _analyser(kinds: tuple[Kind, ...]) -> Any:
    """One a process: building it takes seconds."""
    import spacy
    from presidio_analyzer import (
        AnalyzerEngine,
        Pattern,
        PatternRecognizer,
        RecognizerRegistry,
        predefined_recognizers,
    )
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    words = spacy.blank("en")
    words.max_length = 1 << 31  # only tokenised, never parsed: the length of a document sets no limit
    engine: Any = SpacyNlpEngine()
    engine.nlp = {"en": words}
    recognisers = [getattr(predefined_recognizers, _RECOGNISERS[kind])() for kind in kinds if kind in _RECOGNISERS]
    if "EMAIL_ADDRESS" in kinds:
        patterns = [Pattern("address", _EMAIL, 0.9)]
        recognisers.append(PatternRecognizer(supported_entity="EMAIL_ADDRESS", patterns=patterns, context=["email"]))
    registry = RecognizerRegistry(recognizers=recognisers, supported_languages=["en"])
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])


def personal_data(text: str, kinds: Sequence[Kind], threshold: float) -> list[Found]:
    """What is personal in `text`, in order, without overlaps: the surer one stays, then the longer."""
    if not kinds or not _LIKELY.search(text):
        return []
    results = _analyser(tuple(kinds)).analyze(text, language="en", entities=list(kinds), score_threshold=threshold)
    kept: list[Found] = []
    for one in sorted(results, key=lambda r: (-r.score, r.start - r.end, r.start)):
        found = Found(one.entity_type, one.start, one.end)
        clear = all(found.end <= k.start or found.start >= k.end for k in kept)
        if clear and believable(text, found):
            kept.append(found)
    return sorted(kept, key=lambda f: f.start)


def believable(text: str, found: Found) -> bool:
    """Whether a find is what it is said to be, from how it is written and what stands around it."""
    check = {"PHONE_NUMBER": _telephone, "EMAIL_ADDRESS": _mailbox, "IP_ADDRESS": _address}.get(found.kind)
    return check is None or check(text[: found.start], text[found.start : found.end], text[found.end :])


def _telephone(before: str, written: str, after: str) -> bool:
    """Groups of digits between marks or behind a plus. Spaces alone also part the numbers of a list: those need a word."""
    if re.search(r"[\w.\-/=^*]$", before) or re.match(r"[\w\-/=^*%]|\.\d", after) or written.count(".") == 1:
        return False
    if written.startswith("+"):
        return True
    called = bool(_CALL.search(before[-NEAR:]))
    groups = re.findall(r"\d+", written)
    return called or (len(groups) >= 3 and bool(re.search(r"[().\-/]", written)))


def _mailbox(before: str, written: str, after: str) -> bool:
    """An address whose domain can exist; neither the login of a URL nor that of a code host, nor a matrix product."""
    if re.search(r"://[^\s/,;]*$", before) or written.startswith("git@"):
        return False
    domain = written.rpartition("@")[2].lower()
    return domain.rpartition(".")[2] in _INTERNAL or bool(_domains()(domain).suffix)


def _address(before: str, written: str, after: str) -> bool:
    """A public address that is said to be one: four numbers with points may be a version, and in a URL a machine."""
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    if not address.is_global:
        return False
    if address.version == 6:  # `a::b` is one too
        return sum(1 for group in written.split(":") if group) >= GROUPS_6
    return before.endswith("@") or bool(_HOST.search(before[-NEAR:]))
