"""What is wrong with an answer, as reason codes: too short or long, a refusal, repetition, broken encoding, ungrounded."""

from __future__ import annotations

import re

from metier.text.similarity import IDENTIFIER, identifiers
from metier.text.words import content_words, stem, wording

_REFUSAL = re.compile(
    r"\bas an? (ai|artificial intelligence|large language|language) model\b|\bi (can't|cannot) assist\b", re.I
)
_BROKEN = re.compile("�|Ã[\x80-\xbf©]|â€|[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NEGATION = re.compile(r"\b(not|no|never|none|cannot|can't|doesn't|isn't|without|neither|nor)\b", re.I)
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d_,]*(?:\.\d+)?")
_LETTERS = re.compile(r"[a-z]+")
REPEATED = 4  # the same run of words so often is a loop
RUN_WORDS = 3


def refusal(text: str) -> str:
    """The words of a model's refusal or self-description; empty where there are none."""
    found = _REFUSAL.search(text)
    return found[0] if found else ""


def broken_encoding(text: str) -> str:
    """The first sign of a wrong decoding or of control characters; empty where there is none."""
    found = _BROKEN.search(text)
    return repr(found[0]) if found else ""


def repetition(text: str) -> str:
    """A run of three words that comes four times or more; empty where there is none."""
    words = wording(text)
    runs = [" ".join(words[i : i + RUN_WORDS]) for i in range(len(words) - RUN_WORDS + 1)]
    return next((run for run in runs if runs.count(run) >= REPEATED), "") if len(set(runs)) < len(runs) else ""


def ungrounded(answer: str, question: str, evidence: str, min_share: float) -> str:
    """What the answer holds and neither evidence nor question does; empty where it is grounded.

    Every number and identifier must be found; of the other content words at least `min_share`, one stray word aside.
    """
    text = f"{question}\n{evidence}".lower()
    words = {stem(w) for w in _LETTERS.findall(text)}
    held = set(wording(text))
    foreign = sorted(one for one in identifiers(answer) if one not in text and not set(wording(one)) <= held)
    if foreign:
        return f"not in the source: {', '.join(foreign[:5])}"
    content = content_words(IDENTIFIER.sub(" ", answer))
    missing = [w for w in content if stem(w) not in words and w != "null"]  # JSON's word for None
    if len(missing) > 1 and 1 - len(missing) / len(content) < min_share:
        return f"{len(missing)} of {len(content)} content words are not in the source: {', '.join(missing[:8])}"
    return ""


def contradiction(a: str, b: str) -> str:
    """Why two answers to one question can't both hold, by numbers or negation; empty where they can."""
    first, second = set(_NUMBER.findall(a)), set(_NUMBER.findall(b))
    if first and second and not first & second:
        return f"{', '.join(sorted(first))} against {', '.join(sorted(second))}"
    shared = {stem(w) for w in content_words(a)} & {stem(w) for w in content_words(b)}
    if shared and bool(_NEGATION.search(a)) != bool(_NEGATION.search(b)):
        return "one denies what the other says"
    return ""
