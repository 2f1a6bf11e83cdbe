"""The engines that are compared: each gives the spans of personal data in a text, by kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metier.text.personal import KINDS, finder

Span = tuple[str, int, int]
Engine = Callable[[str], list[Span]]
THRESHOLD = 0.4
SAME = {
    "EMAIL_ADDRESS": "EMAIL_ADDRESS",
    "PHONE_NUMBER": "PHONE_NUMBER",
    "IBAN_CODE": "IBAN_CODE",
    "CREDIT_CARD": "CREDIT_CARD",
    "US_SSN": "US_SSN",
    "IP_ADDRESS": "IP_ADDRESS",
    "US_PASSPORT": "PASSPORT",
    "US_DRIVER_LICENSE": "DRIVING_LICENCE",
    "UK_NHS": "UK_NHS",
    "US_BANK_NUMBER": "BANK_ACCOUNT",
    "MAC_ADDRESS": "MAC_ADDRESS",
    "CRYPTO": "CRYPTO",
    "US_ITIN": "TAX_NUMBER",
}
"""What Presidio's default recognisers find with no model -> the kind that it is here."""


def metier() -> Engine:
    """Metier's recognisers, as the stage sets them by default."""
    find = finder(KINDS, THRESHOLD)
    return lambda text: [(f.kind, f.start, f.end) for f in find(text)]


def presidio(threshold: float) -> Engine:
    """Presidio's analyser with its default recognisers, its tokeniser and its context words, without a trained model."""
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    tldextract.extract = tldextract.TLDExtract(
        suffix_list_urls=(), cache_dir=None
    )  # else each process asks the network
    words: Any = SpacyNlpEngine()
    words.nlp = {"en": spacy.blank("en")}
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=words)
    analyser = AnalyzerEngine(registry=registry, nlp_engine=words, supported_languages=["en"])
    wanted = [name for name in SAME if name in analyser.get_supported_entities("en")]

    def find(text: str) -> list[Span]:
        found = analyser.analyze(text, language="en", entities=wanted, score_threshold=threshold)
        return [(SAME[one.entity_type], one.start, one.end) for one in found]

    return find


OURS = "metier"
ENGINES: dict[str, Callable[[], Engine]] = {
    OURS: metier,
    "presidio": lambda: presidio(0.0),
    f"presidio, threshold {THRESHOLD}": lambda: presidio(THRESHOLD),
}
