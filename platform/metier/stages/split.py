"""Splits documents into train, dev and final, before anything is written from them.

A document's place follows from a seeded hash of what it says, or of its name: nothing that is added later moves it.
Documents with the same wording (parallel methods of two classes, copies of a page), those of one cluster of near-duplicates
and the versions of one document are a family, and so is what these connect: it falls on one side, so that no exam question can
be answered from a twin that was trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from metier.config import StageConfig
from metier.execution.dataflow import chunks_of, map_table, tasks_for
from metier.execution.step import Context, Input, Stage
from metier.lineage.fingerprint import digest
from metier.lineage.manifest import Counts
from metier.lineage.shards import Chunk, from_table, read_chunk
from metier.records import Document, Rejection, Split
from metier.stages.deduplicate import Sibling
from metier.stages.supersede import Superseded
from metier.text.words import wording

CLUSTER, ROOT, WORDING = range(3)
Name = tuple[int, str]
"""By what documents belong together: their cluster, the root id that a version goes by, or a digest of their wording. A family
is dealt by the lowest of its names."""
SHORT = 4  # words; what is shorter says too little to make twins of all that say it, and goes by its name


class Config(StageConfig):
    """How many documents go where."""

    train_fraction: float = Field(0.6, gt=0, lt=1)
    """Share of the documents that pairs are written from."""
    dev_fraction: float = Field(0.15, gt=0, lt=1)
    """Share for the exam that picks the checkpoint. The rest is the final exam's."""
    seed: int = Field(0, ge=0)
    """Another seed deals the documents anew."""

    @model_validator(mode="after")
    def _room(self) -> Config:
        if self.train_fraction + self.dev_fraction > 0.95:
            raise ValueError("train_fraction and dev_fraction must leave at least 0.05 for the final exam")
        return self


def drawn(family: str, seed: int) -> float:
    """A number in [0, 1) that depends on nothing else."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{family}".encode(), digest_size=8).digest(), "big") / 2**64


def side(family: str, config: Config) -> Split:
    """The side of a family: train, dev or final."""
    place = drawn(family, config.seed)
    if place < config.train_fraction:
        return "train"
    return "dev" if place < config.train_fraction + config.dev_fraction else "final"


def family_of(document: Document) -> str:
    """What twins share: an API object's summary (parallel objects repeat it), or a page's whole wording."""
    text = document.api.summary if document.api else document.text
    words = wording(text)
    return " ".join(words) if len(words) >= SHORT else document.uri


def operator(config: Config, joined: Mapping[str, str]) -> Callable[[list[Document]], Iterator[Document | Rejection]]:
    """Writes the side into each document. `joined`: what a family is dealt by, by the digest of a wording in it."""

    def apply(documents: list[Document]) -> Iterator[Document | Rejection]:
        for document in documents:
            said = family_of(document)
            yield document.derive(Document, split=side(joined.get(digest(said), said), config))

    return apply


def lowest(pairs: Iterable[tuple[Name, Name]]) -> dict[Name, Name]:
    """For each name the lowest that pairs connect it with."""
    above: dict[Name, Name] = {}

    def root(name: Name) -> Name:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        above[high] = low
    return {name: root(name) for name in list(above)}


def related(chunk: Chunk, ids: pa.Array) -> list[tuple[str, str, str]]:
    """Id, root id and digest of the wording of a chunk's documents that are known by one of these ids."""
    facts = read_chunk(chunk, ("id", "root_id"))
    wanted = pc.or_(pc.is_in(facts["id"], ids), pc.is_in(facts["root_id"], ids))
    rows = read_chunk(chunk).filter(wanted) if pc.any(wanted).as_py() else facts.slice(0, 0)
    return [(one.id, one.root_id, digest(family_of(one))) for one in from_table(Document, rows)]


def joined_families(context: Context[Config]) -> dict[str, str]:
    """What a family is dealt by, by the digest of each wording in it; of those that clusters and versions make."""
    siblings = context.records("clusters", Sibling) if context.has("clusters") else ()
    superseded = context.records("superseded", Superseded) if context.has("superseded") else ()
    cluster_of = {one.sibling: one.cluster for one in siblings}
    pairs: list[tuple[Name, Name]] = [((ROOT, one.root_id), (ROOT, one.by_id)) for one in superseded]
    ids = sorted({*cluster_of, *(root for pair in pairs for _, root in pair)})
    if not ids:
        return {}
    chunks = chunks_of(context, "documents")
    tasks = tasks_for(context, chunks)
    for found in tasks.results([tasks.call(related, chunk, pa.array(ids)) for chunk in chunks]):
        for document, root, said in found:
            pairs.append(((ROOT, root), (WORDING, said)))
            if document in cluster_of:
                pairs.append(((ROOT, root), (CLUSTER, cluster_of[document])))
    return {name: family for (kind, name), (_, family) in lowest(pairs).items() if kind == WORDING}


def run(context: Context[Config]) -> Counts:
    """Splits the table `documents`."""
    return map_table(context, "documents", Document, operator(context.config, joined_families(context)), Document)


STAGE = Stage(
    name="split",
    revision=2,
    summary="Deals documents into train, dev and final; twins and versions stay together.",
    config=Config,
    inputs={
        "documents": Input("documents to split", record=Document),
        "clusters": Input(
            "near-duplicates that all stayed (an output of deduplicate_documents)", Sibling, "clusters", optional=True
        ),
        "superseded": Input(
            "which documents are versions of one (an output of supersede)", Superseded, "superseded", optional=True
        ),
    },
    outputs={"kept": Document, "rejected": Rejection},
    run=run,
    conserves=True,
)
