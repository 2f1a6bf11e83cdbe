"""Which documents are versions of one another, and which one takes the place of which.

A version of a document has another day of effect and either the same title and something in common, or nearly the same body.
Each version is superseded by the next one in time. Only documents that share a key are compared: that of their title, or one
of their bodies' bands (`text/minhash.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from metier.text.minhash import band_keys, lsh_shape
from metier.text.shingles import Sets, Texts, jaccard
from metier.text.similarity import Buckets, buckets_of

SHINGLE_WORDS = 3
PERMUTATIONS = 128
MOST_ALIKE = 200  # documents that share a key; a title or phrase that more have is of no document in particular
_MARKS = re.compile(
    r"\b(?:v(?:ersion|er\.?|\.)? ?\d+(?:\.\d+)*|\d{4}(?:-\d{2}){0,2}|(?:edition|release|rev(?:ision)?)\.? ?\d+(?:\.\d+)*)\b"
    r"|[^\w ]",
    re.I,
)


def family(title: str) -> str:
    """A title without marks of versions and years; empty where that leaves nothing."""
    return " ".join(_MARKS.sub(" ", title.casefold()).split())


def bands_for(min_similarity: float) -> tuple[int, int]:
    """Bands and rows of the bodies' signatures."""
    return lsh_shape(min_similarity, PERMUTATIONS)


def body_keys(bodies: Texts, min_similarity: float) -> np.ndarray:
    """The keys by which bodies so similar meet. uint64, shape (bands, bodies)."""
    return band_keys(bodies, SHINGLE_WORDS, *bands_for(min_similarity))


def sharing(keys: np.ndarray) -> Buckets:
    """The documents that share a key; zero is none. uint64, shape (documents,)."""
    places = np.flatnonzero(keys)
    found = buckets_of(keys[places])
    return Buckets(places[found.members], found.offsets).of_at_most(MOST_ALIKE)


@dataclass(frozen=True)
class Versions:
    """What is compared of documents, each a row. A day is ISO 8601."""

    ids: Sequence[str]
    families: Sequence[str]
    days: Sequence[str]  # from when each holds
    bodies: Sets


@dataclass(frozen=True, slots=True)
class Succession:
    """The row `older` no longer holds from the day on which `newer` takes effect."""

    older: int
    newer: int
    similarity: float  # Jaccard of the bodies
    same_title: bool


def successions(
    buckets: Buckets, versions: Versions, min_similarity: float, min_title_similarity: float
) -> Iterator[Succession]:
    """For each version that another takes the place of, the next one in time, of one day the most alike."""
    for older, others in _neighbours(buckets, len(versions.ids)):
        day = versions.days[older]
        later = sorted((n for n in others.tolist() if versions.days[n] > day), key=versions.days.__getitem__)
        found: list[Succession] = []
        for newer in later:
            if found and versions.days[newer] != versions.days[found[0].newer]:
                break
            alike = jaccard(versions.bodies[older], versions.bodies[newer])
            same_title = versions.families[older] == versions.families[newer] != ""
            if alike >= (min_title_similarity if same_title else min_similarity):
                found.append(Succession(older, newer, round(alike, 6), same_title))
        if found:
            yield min(found, key=lambda one: (-one.similarity, versions.ids[one.newer]))


def _neighbours(buckets: Buckets, rows: int) -> Iterator[tuple[int, np.ndarray]]:
    """Each row with all rows that share a bucket with it, itself among them."""
    bucket = np.repeat(np.arange(len(buckets.offsets) - 1), np.diff(buckets.offsets))
    by_row = np.argsort(buckets.members, kind="stable")
    starts = np.searchsorted(buckets.members[by_row], np.arange(rows + 1))
    for row in range(rows):
        own = bucket[by_row[starts[row] : starts[row + 1]]]
        if len(own):
            shared = [buckets.members[buckets.offsets[one] : buckets.offsets[one + 1]] for one in own]
            yield row, np.unique(np.concatenate(shared))
