"""Whether an answer says only what its source says: each number and name must be there, and most of the other words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from metier.text.identifiers import identifiers, literals, numbers, written_numbers
from metier.text.words import content_words, stem, wording

# What a sentence puts around a value; in a short answer it is most of the words, and none of it is a claim.
_FRAME = frozenset(
    """true false none null accept accepts answer answers apply applies become becomes belong belongs call called documentation
    expect expects give gives given hold holds import imports leave left look looks mean means name named omit omitted pass
    passed python says show shows take takes type types write""".split()  # noqa: SIM905
)
NAMED = 5  # of what is missing, so many are named in the evidence


def ungrounded(answer: str, question: str, evidence: str, min_share: float) -> str:
    """What the answer holds and neither evidence nor question does, in words; empty where it is grounded.

    Numbers, constants and names must all be found (a dotted name by its parts); of the other content words, in their
    stems, at least the share `min_share`.
    """
    said, ground = plain(answer), f"{question}\n{evidence}"
    foreign = sorted(_foreign(said, ground))
    if foreign:
        return f"not in the source: {', '.join(foreign[:NAMED])}"
    known = {stem(word) for word in wording(ground)} | {part for name in wording(ground) for part in name.split("_")}
    content = [word for word in content_words(said) if word not in _FRAME]
    missing = [word for word in content if stem(word) not in known and word not in known]
    if content and 1 - len(missing) / len(content) < min_share:
        return f"{len(missing)} of {len(content)} content words are not in the source: {', '.join(missing[:NAMED])}"
    return ""


def foreign_numbers(answer: str, question: str, evidence: str) -> str:
    """The numbers, days and versions of an answer that neither evidence nor question holds, in words; empty for none."""
    ground = f"{question}\n{evidence}"
    foreign = sorted(
        numbers(plain(answer)) - numbers(ground) - identifiers(ground) - written_numbers(ground) - set(wording(ground))
    )
    return f"not in the source: {', '.join(foreign[:NAMED])}" if foreign else ""


def _foreign(said: str, ground: str) -> Iterator[str]:
    known = identifiers(ground) | written_numbers(ground) | literals(ground)
    words = set(wording(ground))
    figures = numbers(said)
    yield from figures - known - words
    yield from literals(said) - known
    for name in identifiers(said) - figures - known:
        if not set(wording(name)) <= words:
            yield name


def plain(answer: str) -> str:
    """The answer as text: of a JSON answer its values, as its keys are given by the question."""
    try:
        value = json.loads(unfenced(answer))
    except ValueError:
        return answer
    return "\n".join(_leaves(value)) if isinstance(value, dict | list) else answer


def unfenced(answer: str) -> str:
    """The answer without the Markdown fence around it."""
    found = re.fullmatch(r"\s*```\w*\n(.*?)\n?```\s*", answer, re.DOTALL)
    return found[1] if found else answer


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield str(value)
