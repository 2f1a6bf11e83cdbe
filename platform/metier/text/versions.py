"""Which documents are versions of one another, and which one takes the place of which.

A version of a document has another day of effect and either the same title and something in common, or nearly the same body.
Each version is superseded by the next one in time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from metier.text.dates import day_of
from metier.text.shingles import jaccard, shingles

SHINGLE_WORDS = 3
SKETCH = 12  # lowest shingle hashes: two bodies of Jaccard 0.7 share none of them once in a million
MOST_ALIKE = 200  # documents that share one; a title or phrase that more have is of no document in particular
_MARKS = re.compile(
    r"\b(?:v(?:ersion|er\.?|\.)? ?\d+(?:\.\d+)*|\d{4}(?:-\d{2}){0,2}|(?:edition|release|rev(?:ision)?)\.? ?\d+(?:\.\d+)*)\b"
    r"|[^\w ]",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Version:
    """What is compared of a document."""

    id: str
    title: str  # without marks of versions and years; empty where that leaves nothing
    effective: str
    body: np.ndarray  # shingle hashes


@dataclass(frozen=True, slots=True)
class Succession:
    """`older` no longer holds from the day on which `newer` takes effect."""

    older: str
    newer: str
    day: str
    similarity: float  # Jaccard of the bodies
    same_title: bool


def version(id: str, title: str, effective: str, text: str) -> Version:
    """What is compared of a document."""
    plain = " ".join(_MARKS.sub(" ", title.casefold()).split())
    return Version(id, plain, effective, shingles(text, SHINGLE_WORDS))


def successions(versions: Iterable[Version], min_similarity: float, min_title_similarity: float) -> list[Succession]:
    """For each version that another takes the place of, the next one; sorted, whatever the order of the versions."""
    dated = {one.id: one for one in versions if day_of(one.effective)}
    next_of: dict[str, Succession] = {}
    for a, b in _pairs(dated):
        older, newer = sorted((dated[a], dated[b]), key=lambda v: (v.effective, v.id))
        alike, same_title = jaccard(older.body, newer.body), older.title == newer.title != ""
        least = min_title_similarity if same_title else min_similarity
        if older.effective == newer.effective or alike < least:
            continue
        found = Succession(older.id, newer.id, newer.effective, round(alike, 6), same_title)
        known = next_of.get(older.id)
        if known is None or _order(found) < _order(known):
            next_of[older.id] = found
    return [next_of[one] for one in sorted(next_of)]


def _order(one: Succession) -> tuple[str, float, str]:
    """The next in time comes first; of one day the most alike."""
    return one.day, -one.similarity, one.newer


def _pairs(versions: dict[str, Version]) -> Iterator[tuple[str, str]]:
    """The documents that share a title, or one of the lowest hashes of their bodies (a bottom-k sketch, Broder 1997)."""
    groups: dict[str | int, list[str]] = {}
    for one in versions.values():
        lowest = np.sort(one.body)[:SKETCH].tolist()
        for key in (*lowest, *([one.title] if one.title else [])):
            groups.setdefault(key, []).append(one.id)
    seen: set[tuple[str, str]] = set()
    for ids in groups.values():
        if len(ids) <= MOST_ALIKE:
            ordered = sorted(ids)
            seen.update((a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 :])
    yield from sorted(seen)
