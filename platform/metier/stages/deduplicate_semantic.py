"""Removes dialogues whose questions mean the same, as far as embeddings tell: a step of its own, beside the one on words.

Every pair of questions is compared, a tile of the table against a tile at a time, so the cost grows with the square of the
rows: made for instruction sets (up to a few hundred thousand dialogues), not for corpora.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
from pydantic import Field

from metier.config import StageConfig
from metier.execution.dataflow import chunks_of, tasks_for
from metier.execution.removal import write_removal
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.lineage.shards import Chunk, read_chunk
from metier.records import Dialogue, Rejection
from metier.retrieval.embedding import Embedder, EmbedderSource
from metier.stages.deduplicate import DIALOGUES_FORM, hashed, ranking, ranks_of
from metier.text.identifiers import distinguishing

SEMANTIC = "semantic_duplicate"
STRIP = 1024  # rows of a tile that are compared at once with all of the other: 64 MB
DIGITS = 4  # of a cosine; the last bits of a float depend on the processor and the batch


class Config(StageConfig):
    """What counts as the same question."""

    threshold: float = Field(0.95, ge=0.5, le=1)
    """Cosine similarity of embeddings from which two questions mean the same."""
    keep_distinct_identifiers: bool = True
    """Keep both where names in code, quotations, numbers, constants or a negation in the questions differ: embeddings hardly
    tell `the default of a` from `the default of b`."""


def questions(table: pa.Table) -> list[str]:
    """The last user turn of each dialogue."""
    return [
        next(m["content"] for m in reversed(turns) if m["role"] == "user") for turns in table["messages"].to_pylist()
    ]


@dataclasses.dataclass(frozen=True)
class Tile:
    """A chunk's questions as vectors of length 1 (float32), and what must be equal for two to be compared (uint64)."""

    first: int  # row of the table
    vectors: np.ndarray
    salts: np.ndarray


def embedded(chunk: Chunk, embedder: str, config: Config) -> tuple[Tile, pa.Table]:
    """A chunk's tile, and a table of `row`, `id` and what ranks its rows."""
    form = DIALOGUES_FORM
    table = read_chunk(chunk, ("id", *form.columns, *form.ranked))
    asked = questions(table)
    vectors = Embedder.cached(embedder).encode(asked) if asked else np.empty((0, 1), np.float32)
    tokens = ("\n".join(sorted(distinguishing(text))) if config.keep_distinct_identifiers else "" for text in asked)
    return Tile(chunk.first, vectors, hashed(tokens)), ranking(
        np.arange(chunk.first, chunk.first + chunk.rows), form, table
    )


def alike(config: Config, one: Tile, other: Tile) -> pa.Table:
    """Pairs of rows of the table, `a` before `b`, that mean the same, and their `similarity`."""
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = [(np.empty(0, int), np.empty(0, int), np.empty(0, float))]
    for start in range(0, len(one.vectors), STRIP):
        cosine = one.vectors[start : start + STRIP] @ other.vectors.T
        near = (cosine.round(DIGITS) >= config.threshold) & (one.salts[start : start + STRIP, None] == other.salts)
        rows, columns = np.nonzero(near)
        a, b = rows + start + one.first, columns + other.first
        found.append((a[a < b], b[a < b], cosine[rows, columns][a < b]))
    a, b, similarity = (np.concatenate(part) for part in zip(*found, strict=True))
    return pa.table({"a": a, "b": b, "similarity": similarity.astype(float).round(DIGITS)})


def settled(tables: int, *parts: pa.Table) -> pa.Table:
    """The rows that go (`row`, `reason`, `evidence`): the first `tables` parts rank the rows, the others are pairs.

    The best row stays; each next one goes if a row that stays means the same.
    """
    rows, pairs = pa.concat_tables(parts[:tables]), pa.concat_tables(parts[tables:])
    near: dict[int, list[tuple[float, int]]] = {}
    for a, b, similarity in zip(*(pairs[name].to_pylist() for name in ("a", "b", "similarity")), strict=True):
        near.setdefault(a, []).append((similarity, b))
        near.setdefault(b, []).append((similarity, a))
    ids, ranks = rows["id"], ranks_of(rows)
    gone: dict[int, str] = {}
    for row in sorted(near, key=lambda row: ranks[row]):
        better = [
            (s, -ranks[other], other) for s, other in near[row] if ranks[other] < ranks[row] and other not in gone
        ]
        if better:
            similarity, _, kept = max(better)
            gone[row] = f"asks what {ids[kept].as_py()} asks (cosine {similarity:.3f})"
    order = sorted(gone)
    return pa.table({"row": pa.array(order, pa.int64()), "reason": pa.array([SEMANTIC] * len(order), pa.string()),
                     "evidence": pa.array([gone[row] for row in order], pa.string())})  # fmt: skip


def run(context: Context[Config]) -> Counts:
    """Writes kept and rejected dialogues."""
    config, embedder = context.config, context.location("embedder")
    chunks = chunks_of(context, "dialogues")
    tasks = tasks_for(context, chunks)
    made = [tasks.call(embedded, chunk, embedder, config, parts=2) for chunk in chunks]
    pairs = [tasks.call(alike, config, one, other) for i, (one, _) in enumerate(made) for other, _ in made[i:]]
    removed = tasks.call(settled, len(chunks), *(about for _, about in made), *pairs)
    return write_removal(context, tasks, chunks, Dialogue, removed)


STAGE = Stage(
    name="deduplicate_semantic",
    revision=1,
    summary="Removes dialogues whose questions mean the same (embeddings, every pair compared).",
    config=Config,
    inputs={
        "dialogues": Input("dialogues", record=Dialogue),
        "embedder": Input("embedding model: a name, a folder or a hub id", opens=EmbedderSource),
    },
    outputs={"kept": Dialogue, "rejected": Rejection},
    run=run,
    conserves=True,
)
