"""Finds documents that are versions of one another, and writes into the older ones from when they no longer hold.

Nothing is rejected but a date that is none: an old version stays a document, and `filter` rejects what was made from it as of
the day that it is asked for. The table `superseded` names the document that takes the place of each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pydantic import Field

from metier.config import StageConfig
from metier.execution.dataflow import rows_in, write_outcome
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Document, Record, Rejection, rejection
from metier.text.dates import day_of
from metier.text.versions import Succession, successions, version


class Config(StageConfig):
    """From when two dated documents are versions of one."""

    min_similarity: float = Field(0.7, ge=0.5, le=1)
    """Jaccard similarity of the bodies (word shingles) from which documents of any title are versions of one."""
    min_title_similarity: float = Field(0.2, ge=0, le=1)
    """The same where the titles are equal but for a year or a version's number: an Introduction has many namesakes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Superseded(Record):
    """One document that another takes the place of. Its `root_id` is that of everything made from it."""

    uri: str
    by_id: str  # root id of the document that takes its place
    by_uri: str
    by_title: str
    day: str  # from when it no longer holds
    similarity: float
    same_title: bool


def superseded(document: Document, by: Document, found: Succession) -> tuple[Document, Superseded]:
    """The older version with its last day, and the row that says why. A day that its author wrote stands."""
    day = document.superseded or found.day
    row = document.derive(
        Superseded,
        uri=document.uri,
        by_id=by.root_id,
        by_uri=by.uri,
        by_title=by.title,
        day=day,
        similarity=found.similarity,
        same_title=found.same_title,
    )
    return (document if document.superseded else document.derive(Document, superseded=day)), row


def invalid_date(document: Document) -> str:
    """What is wrong with its days; empty where nothing is."""
    try:
        day_of(document.effective), day_of(document.superseded)
    except ValueError as error:
        return str(error)
    return ""


def judged(documents: list[Document], config: Config) -> Iterator[Document | Superseded | Rejection]:
    """Every document, kept or rejected, and before an older version the row about it."""
    faults = [invalid_date(document) for document in documents]
    sound = {document.id: document for document, fault in zip(documents, faults, strict=True) if not fault}
    dated = (version(d.id, d.title, d.effective, d.text) for d in sound.values() if d.effective and d.api is None)
    found = {one.older: one for one in successions(dated, config.min_similarity, config.min_title_similarity)}
    for document, fault in zip(documents, faults, strict=True):
        succession = found.get(document.id)
        if fault:
            yield rejection(document, "supersede", "invalid_date", fault)
        elif succession:
            yield from reversed(superseded(document, sound[succession.newer], succession))
        else:
            yield document


def run(context: Context[Config]) -> Counts:
    """Writes the documents in the order of the input, and the table of those that are superseded."""
    outcome = list(judged(list(context.records("documents", Document)), context.config))
    rows = [row for row in outcome if isinstance(row, Superseded)]
    context.output.table("superseded", Superseded, sorted(rows, key=lambda row: row.uri))
    documents = (row for row in outcome if not isinstance(row, Superseded))
    return write_outcome(context, documents, Document, rows_in(context, "documents"))


STAGE = Stage(
    name="supersede",
    revision=2,
    summary="Finds versions of one document and writes into the older when they ceased to hold.",
    config=Config,
    inputs={"documents": Input("documents of all versions", record=Document)},
    outputs={"kept": Document, "rejected": Rejection, "superseded": Superseded},
    run=run,
    conserves=True,
)
