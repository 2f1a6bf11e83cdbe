"""Which language a text is in, offline: py3langid, a naive Bayes over byte n-grams for 139 languages (Lui and Baldwin 2012)."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from typing import Any

LETTERS = 40  # a shorter text is any language's
SURE = 0.9  # the probability from which a text is said to be in another language
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\S*[_/\\]\S*", re.DOTALL)


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def known_languages() -> frozenset[str]:
    """The codes (ISO 639) that can be told apart."""
    return frozenset(_identifier().labels)


def language(text: str) -> tuple[str, float]:
    """The code of a text's language and how probable it is; code is left out. Empty where there is too little text."""
    prose = _CODE.sub(" ", text)
    if sum(map(str.isalpha, prose)) < LETTERS:
        return "", 0.0
    code, probability = _identifier().classify(prose)
    return str(code), float(probability)


def foreign_language(text: str, wanted: Collection[str]) -> str:
    """What other language a text is surely in; empty where it is in a wanted one, or nothing is sure."""
    code, probability = language(text) if wanted else ("", 0.0)
    return f"language {code} ({probability:.2f})" if code not in wanted and probability >= SURE else ""
