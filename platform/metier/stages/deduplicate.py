"""Removes exact and near-duplicate dialogues, whichever worker they were on.

Signatures are made in parallel and their bands are joined here (a few hundred bytes a row). Rows that share a band are
candidates; each pair is verified by its true Jaccard similarity; connected rows form a cluster, which its best row represents.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from pydantic import Field

from metier.config import StageConfig
from metier.execution.dataflow import stream, write_outcome
from metier.execution.step import Context, Input, Stage
from metier.lineage.fingerprint import digest
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Record, Rejection, rejection
from metier.text.identifiers import distinguishing
from metier.text.minhash import band_keys, lsh_shape, signature
from metier.text.shingles import jaccard, normalised, shingles
from metier.text.similarity import clusters_of

EXACT, NEAR = "exact_duplicate", "near_duplicate"
NO_END = "9999-12-31"


class Config(StageConfig):
    """What counts as a duplicate."""

    threshold: float = Field(0.8, ge=0.1, le=1)
    """Jaccard similarity of word shingles from which two dialogues are near-duplicates."""
    shingle_words: int = Field(3, ge=1, le=20)
    """Words in a shingle; dialogues are short."""
    permutations: int = Field(128, ge=16, le=1024)
    """Length of a signature."""
    keep_distinct_identifiers: bool = True
    """Keep both where names in code, quotations, numbers, constants or a negation differ: `default of a in f` and `default of
    b in f` look alike and are not."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signed(Record):
    """What is joined in one place of a dialogue: digests, not its text."""

    of: str
    exact: str  # digest of the normalised text
    bands: tuple[str, ...]  # rows with other distinguishing tokens share none
    rank: tuple[str, ...]  # the better representative has the larger one


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(Record):
    """One removed row: which kept row it repeats, and how similar the two are (Jaccard of their shingles)."""

    duplicate: str
    duplicate_of: str
    similarity: float
    exact: bool


def text_of(dialogue: Dialogue) -> str:
    """What is compared: all turns but the system's."""
    return "\n".join(m.content for m in dialogue.messages if m.role != "system")


def rank_of(dialogue: Dialogue) -> tuple[str, ...]:
    """The larger represents a cluster: the reviewed row, then what holds from later, then until later, then the fuller."""
    length = f"{len(text_of(dialogue)):012d}"
    return (str(int(bool(dialogue.reviewed))), dialogue.effective, dialogue.superseded or NO_END, length)


def signing(config: Config) -> Callable[[list[Dialogue]], Iterator[Signed | Rejection]]:
    """Dialogues to what deduplication needs of them."""
    bands, rows = lsh_shape(config.threshold, config.permutations)

    def apply(dialogues: list[Dialogue]) -> Iterator[Signed | Rejection]:
        for one in dialogues:
            text = text_of(one)
            salt = digest(sorted(distinguishing(text))) if config.keep_distinct_identifiers else ""
            signed = signature(shingles(text, config.shingle_words), config.permutations)
            keys = tuple(band_keys(signed, bands, rows, salt))
            exact = digest([normalised(text), salt])
            yield one.derive(Signed, of=one.id, exact=exact, bands=keys, rank=rank_of(one))

    return apply


def distinct_texts(signed: list[Signed]) -> dict[str, str]:
    """Each row's representative among those of equal text: the lowest id. Only these are compared."""
    lowest: dict[str, str] = {}
    for one in signed:
        lowest[one.exact] = min(lowest.get(one.exact, one.of), one.of)
    return {one.of: lowest[one.exact] for one in signed}


def buckets_of(signed: list[Signed], text_id: dict[str, str]) -> list[list[str]]:
    """Rows of distinct text that share a band, sorted, each bucket once."""
    found: dict[str, set[str]] = {}
    for one in signed:
        if text_id[one.of] == one.of:
            for band in one.bands:
                found.setdefault(band, set()).add(one.of)
    return [list(bucket) for bucket in sorted({tuple(sorted(b)) for b in found.values() if len(b) > 1})]


def duplicates_of(signed: list[Signed], candidates: dict[str, np.ndarray], buckets: list[list[str]],
                  config: Config) -> dict[str, Duplicate]:  # fmt: skip
    """Removed rows by id. `candidates` holds the shingles of all rows in `buckets`. The order of `signed` does not matter."""
    text_id = distinct_texts(signed)

    def similarity(a: str, b: str) -> float:
        return jaccard(candidates[a], candidates[b])

    joined = clusters_of(buckets, lambda a, b: similarity(a, b) >= config.threshold)
    clusters: dict[str, dict[str, Signed]] = {}
    for one in signed:
        clusters.setdefault(joined.root(text_id[one.of]), {})[one.of] = one
    removed: dict[str, Duplicate] = {}
    for rows in clusters.values():
        best = max(sorted(rows.values(), key=lambda s: s.of), key=lambda s: s.rank)  # of equal ranks the lowest id
        for of, one in rows.items():
            if of != best.of:
                exact = one.exact == best.exact
                alike = 1.0 if exact else similarity(text_id[of], text_id[best.of])
                removed[of] = one.derive(
                    Duplicate, duplicate=of, duplicate_of=best.of, similarity=round(alike, 6), exact=exact
                )
    return removed


def evidence_of(duplicate: Duplicate, threshold: float) -> str:
    """Which row is kept in its place, and why."""
    if duplicate.exact:
        return f"repeats {duplicate.duplicate_of}"
    chain = " through rows between them" if duplicate.similarity < threshold else ""
    return f"nearly repeats {duplicate.duplicate_of}{chain} (Jaccard {duplicate.similarity:.3f})"


def judged(dialogues: Iterator[Dialogue], removed: dict[str, Duplicate], threshold: float,
           ) -> Iterator[Dialogue | Rejection]:  # fmt: skip
    """Every row, kept or rejected; a row that the input holds twice is kept once."""
    seen: set[str] = set()
    for one in dialogues:
        duplicate = removed.get(one.id)
        if duplicate is not None:
            reason = EXACT if duplicate.exact else NEAR
            yield rejection(one, "deduplicate", reason, evidence_of(duplicate, threshold))
        elif one.id in seen:
            yield rejection(one, "deduplicate", EXACT, f"repeats {one.id}, the same row")
        else:
            seen.add(one.id)
            yield one


def run(context: Context[Config]) -> Counts:
    """Writes kept and rejected dialogues, and the table of duplicates."""
    config = context.config
    outcome = stream(context, "dialogues", Dialogue, signing(config), Signed)
    signed = [row for row in outcome if isinstance(row, Signed)]
    buckets = buckets_of(signed, distinct_texts(signed))
    wanted = {of for bucket in buckets for of in bucket}
    candidates = {
        one.id: shingles(text_of(one), config.shingle_words)
        for one in context.records("dialogues", Dialogue)
        if one.id in wanted
    }
    removed = duplicates_of(signed, candidates, buckets, config)
    context.output.table("duplicates", Duplicate, sorted(removed.values(), key=lambda d: d.duplicate))
    rows = judged(context.records("dialogues", Dialogue), removed, config.threshold)
    return write_outcome(context, rows, Dialogue, len(signed))


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
