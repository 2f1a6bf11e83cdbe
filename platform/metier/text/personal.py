"""Personal data in text, found by Presidio's pattern recognisers on a blank spaCy pipeline (no model is downloaded).

What is found is replaced by its kind, `<EMAIL_ADDRESS>`. That can't be undone, and nothing secret is needed for it.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence
from typing import Any, Literal

Kind = Literal["EMAIL_ADDRESS", "PHONE_NUMBER", "IBAN_CODE", "CREDIT_CARD", "US_SSN", "IP_ADDRESS"]
_RECOGNISERS = {
    "EMAIL_ADDRESS": "EmailRecognizer",
    "PHONE_NUMBER": "PhoneRecognizer",
    "IBAN_CODE": "IbanRecognizer",
    "CREDIT_CARD": "CreditCardRecognizer",
    "US_SSN": "UsSsnRecognizer",
    "IP_ADDRESS": "IpRecognizer",
}
_LIKELY = re.compile(r"@|\d[\d ().-]{6,}\d|[A-Z]{2}\d{2}|:[0-9a-fA-F]*:")  # without any of these nothing can be found


@functools.cache
def _analyser(kinds: tuple[Kind, ...]) -> Any:
    """One a process: building it takes seconds."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry, predefined_recognizers
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    engine = SpacyNlpEngine()
    engine.nlp = {"en": spacy.blank("en")}
    recognisers = [getattr(predefined_recognizers, _RECOGNISERS[kind])() for kind in kinds]
    registry = RecognizerRegistry(recognizers=recognisers, supported_languages=["en"])
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])


@dataclasses.dataclass(frozen=True)
class Found:
    """One piece of personal data: its kind and its place in the text."""

    kind: str
    start: int
    end: int


def personal_data(text: str, kinds: Sequence[Kind], threshold: float) -> list[Found]:
    """What is personal in `text`, in order, without overlaps: the surer one stays, then the longer."""
    if not _LIKELY.search(text):
        return []
    results = _analyser(tuple(kinds)).analyze(text, language="en", entities=list(kinds), score_threshold=threshold)
    kept: list[Found] = []
    for one in sorted(results, key=lambda r: (-r.score, r.start - r.end, r.start)):
        found = Found(one.entity_type, one.start, one.end)
        clear = all(found.end <= k.start or found.start >= k.end for k in kept)
        if clear and _believable(text, found):
            kept.append(found)
    return sorted(kept, key=lambda f: f.start)


def _believable(text: str, found: Found) -> bool:
    """A telephone number in technical prose carries a plus or separators; a bare run of digits is a figure."""
    if found.kind != "PHONE_NUMBER":
        return True
    written = text[found.start : found.end]
    return written.startswith("+") or len(re.findall(r"[ ().-]+", written.strip())) >= 2


def masked(text: str, kinds: Sequence[Kind], threshold: float) -> str:
    """The text with each piece of personal data replaced by its kind in angle brackets."""
    parts, at = [], 0
    for found in personal_data(text, kinds, threshold):
        parts += [text[at : found.start], f"<{found.kind}>"]
        at = found.end
    return "".join([*parts, text[at:]])
