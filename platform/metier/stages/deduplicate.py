"""Removes exact and near-duplicate dialogues, whichever worker they were on.

Signatures are made in parallel; rows that share an LSH band are candidates, each candidate pair is verified against its
true Jaccard similarity, and connected rows form a cluster that one of them represents.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from pydantic import Field

from metier.config import StageConfig
from metier.execution.dataflow import stream, write_outcome
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Record, Rejection, rejection
from metier.text.similarity import (
    Clusters,
    band_keys,
    candidate_pairs,
    identifiers,
    jaccard,
    lsh_shape,
    shingles,
    signature,
)
from metier.text.words import wording

EXACT, NEAR = "exact_duplicate", "near_duplicate"


class Config(StageConfig):
    """What counts as a duplicate."""

    threshold: float = Field(0.8, gt=0, le=1)
    """Jaccard similarity of word shingles from which two dialogues are near-duplicates."""
    shingle_words: int = Field(3, ge=1, le=20)
    """Words in a shingle; dialogues are short."""
    permutations: int = Field(128, ge=16, le=1024)
    """Length of a signature."""
    keep_distinct_identifiers: bool = True
    """Keep both where names in code or numbers differ: `default of a in f` and `default of b in f` look alike and are not."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signed(Record):
    """What deduplication needs to know of a dialogue."""

    of: str
    exact: str  # its words, normalised
    names: tuple[str, ...]
    bands: tuple[str, ...]
    rank: tuple[str, ...]  # the better representative has the larger one


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(Record):
    """One removed row: which row it repeats, and how similar they are (Jaccard)."""

    duplicate: str
    duplicate_of: str
    similarity: float


def text_of(dialogue: Dialogue) -> str:
    """What is compared."""
    return f"{dialogue.question}\n{dialogue.answer}"


def signing(config: Config) -> Callable[[list[Dialogue]], Iterator[Signed | Rejection]]:
    """Dialogues to what deduplication needs of them."""
    bands, rows = lsh_shape(config.threshold, config.permutations)

    def apply(dialogues: list[Dialogue]) -> Iterator[Signed | Rejection]:
        for one in dialogues:
            text = text_of(one)
            keys = band_keys(signature(shingles(text, config.shingle_words), config.permutations), bands, rows)
            # The newest text, then the fullest, stands for a cluster: reviewed rows before all others.
            rank = (str(int(bool(one.reviewed))), one.effective, f"{len(text):09d}")
            names = tuple(sorted(identifiers(text))) if config.keep_distinct_identifiers else ()
            yield one.derive(
                Signed, of=one.id, exact=" ".join(wording(text)), names=names, bands=tuple(keys), rank=rank
            )

    return apply


def clusters_of(signed: list[Signed], config: Config) -> tuple[Clusters, dict[str, str]]:
    """Clusters of near-duplicates among distinct texts, and each row's distinct text (its lowest id)."""
    lowest: dict[tuple[str, tuple[str, ...]], str] = {}
    for one in signed:
        key = (one.exact, one.names)
        lowest[key] = min(lowest.get(key, one.of), one.of)
    text_id = {one.of: lowest[one.exact, one.names] for one in signed}
    distinct = {one.of: one for one in signed if text_id[one.of] == one.of}
    buckets: dict[str, list[str]] = {}
    for one in sorted(distinct.values(), key=lambda s: s.of):
        for band in one.bands:
            buckets.setdefault(band, []).append(one.of)
    sets: dict[str, np.ndarray] = {}

    def shingled(of: str) -> np.ndarray:
        if of not in sets:
            sets[of] = shingles(distinct[of].exact, config.shingle_words)
        return sets[of]

    joined = Clusters()
    for of in distinct:
        joined.root(of)
    for a, b in candidate_pairs(bucket for bucket in buckets.values() if len(bucket) > 1):
        if distinct[a].names == distinct[b].names and jaccard(shingled(a), shingled(b)) >= config.threshold:
            joined.join(a, b)
    return joined, text_id


def duplicates_of(signed: list[Signed], config: Config) -> dict[str, Duplicate]:
    """Removed rows by id. The order of `signed` does not matter."""
    joined, text_id = clusters_of(signed, config)
    members: dict[str, list[Signed]] = {}
    for one in signed:
        members.setdefault(joined.root(text_id[one.of]), []).append(one)
    removed: dict[str, Duplicate] = {}
    for rows in members.values():
        best = min(rows, key=lambda s: (tuple(-ord(c) for c in "\0".join(s.rank)), s.of))
        own = shingles(best.exact, config.shingle_words)
        for one in rows:
            if one.of != best.of:
                alike = 1.0 if one.exact == best.exact else jaccard(own, shingles(one.exact, config.shingle_words))
                removed[one.of] = one.derive(Duplicate, duplicate=one.of, duplicate_of=best.of, similarity=alike)
    return removed


def run(context: Context[Config]) -> Counts:
    """Writes kept and rejected dialogues, and the table of duplicates."""
    signed = [
        s for s in stream(context, "dialogues", Dialogue, signing(context.config), Signed) if isinstance(s, Signed)
    ]
    removed = duplicates_of(signed, context.config)

    def judged() -> Iterator[Dialogue | Rejection]:
        for one in context.records("dialogues", Dialogue):
            duplicate = removed.get(one.id)
            if duplicate is None:
                yield one
            else:
                reason = EXACT if duplicate.similarity == 1.0 else NEAR
                evidence = f"repeats {duplicate.duplicate_of} (similarity {duplicate.similarity:.3f})"
                yield rejection(one, "deduplicate", reason, evidence)

    context.output.table("duplicates", Duplicate, sorted(removed.values(), key=lambda d: d.duplicate))
    return write_outcome(context, _once(judged()), Dialogue, len(signed))


def _once(outcome: Iterator[Dialogue | Rejection]) -> Iterator[Dialogue | Rejection]:
    """Rows that are the same to the id (the input held one twice) are one row and its rejected repetitions."""
    seen: set[str] = set()
    for one in outcome:
        if isinstance(one, Dialogue):
            if one.id in seen:
                yield rejection(one, "deduplicate", EXACT, f"repeats {one.id} (the same row)")
                continue
            seen.add(one.id)
        yield one


STAGE = Stage(
    name="deduplicate",
    revision=1,
    summary="Removes exact and near-duplicate dialogues (MinHash, LSH, every candidate verified).",
    config=Config,
    inputs={"dialogues": Input("dialogues", record=Dialogue)},
    outputs={"kept": Dialogue, "rejected": Rejection, "duplicates": Duplicate},
    run=run,
    conserves=True,
)
