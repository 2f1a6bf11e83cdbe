"""Whether two answers to one question can both hold, as far as numbers, constants and negations tell."""

from __future__ import annotations

import re

from metier.text.grounding import plain
from metier.text.identifiers import denies, literals, numbers
from metier.text.words import content_words, stem

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
# Share of the shorter answer's content words that the other holds, from which both speak of the same thing. A "not" is
# often about a side condition, so there the rest must agree more closely.
ALIKE, DENIED_ALIKE = 0.5, 0.75


def contradiction(a: str, b: str) -> str:
    """Why two answers to one question can't both hold; empty where they can.

    Answers that speak of the same thing with other numbers, or that one denies, exclude each other. Two that speak of
    different things (two sentences of one page, two code examples) may both be right.
    """
    first, second = (_FENCED.sub(" ", plain(text)) for text in (a, b))
    shared = _shared(first, second)
    if shared < ALIKE:
        return ""
    for mine, theirs in ((numbers(first), numbers(second)), (literals(first), literals(second))):
        if mine and theirs and mine != theirs and not (mine <= theirs or theirs <= mine):
            return f"{', '.join(sorted(mine - theirs))} against {', '.join(sorted(theirs - mine))}"
    if denies(first) != denies(second) and shared >= DENIED_ALIKE:
        return "one denies what the other says"
    return ""


def _shared(a: str, b: str) -> float:
    """The share of the shorter answer's content words that the other holds; bare values are about what was asked: 1."""
    if not a.strip() or not b.strip():
        return 0.0
    first, second = ({stem(word) for word in content_words(text)} for text in (a, b))
    smaller = min(len(first), len(second))
    return len(first & second) / smaller if smaller else 1.0
