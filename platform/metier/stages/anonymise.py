"""Replaces personal data by its kind, in documents before anything is written from them, and in dialogues afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import Field

from metier.config import StageConfig
from metier.execution.dataflow import map_table
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Document, Record, Rejection
from metier.text.personal import Kind, masked

# What says where a record is from or how it is used, and is compared elsewhere: never rewritten.
_KEPT = {"id", "root_id", "parent_ids", "uri", "kind", "module", "version", "effective", "superseded", "split", "role",
         "name", "signature", "default", "annotation", "task", "source", "framing", "passage_ids", "reviewed"}  # fmt: skip


class Config(StageConfig):
    """What counts as personal."""

    kinds: tuple[Kind, ...] = ("EMAIL_ADDRESS", "PHONE_NUMBER", "IBAN_CODE", "CREDIT_CARD", "US_SSN")
    """Kinds of personal data that are looked for (Presidio's names)."""
    threshold: float = Field(0.4, ge=0, le=1)
    """How sure the recogniser must be."""


def _rewritten(value: Any, rewrite: Callable[[str], str]) -> Any:
    """The same value with every text in it rewritten, but for the fields that are kept."""
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, tuple):
        return tuple(_rewritten(item, rewrite) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f.name for f in dataclasses.fields(value) if f.name not in _KEPT]
        return dataclasses.replace(value, **{name: _rewritten(getattr(value, name), rewrite) for name in fields})
    return value


def operator(config: Config) -> Callable[[list[Any]], Iterator[Any]]:
    """Records of any type with their texts masked. A record that held nothing personal stays as it is."""

    def rewrite(text: str) -> str:
        return masked(text, config.kinds, config.threshold)

    def apply(records: list[Record]) -> Iterator[Record | Rejection]:
        for record in records:
            names = [f.name for f in dataclasses.fields(record) if f.name not in _KEPT]
            now = {name: _rewritten(getattr(record, name), rewrite) for name in names}
            changed = any(now[name] != getattr(record, name) for name in names)
            yield record.derive(type(record), **now) if changed else record

    return apply


def run_documents(context: Context[Config]) -> Counts:
    """Masks documents."""
    return map_table(context, "documents", Document, operator(context.config), Document)


def run_dialogues(context: Context[Config]) -> Counts:
    """Masks dialogues."""
    return map_table(context, "dialogues", Dialogue, operator(context.config), Dialogue)


STAGE = Stage(
    name="anonymise",
    revision=1,
    summary="Replaces personal data in documents by its kind.",
    config=Config,
    inputs={"documents": Input("documents as they were read", record=Document)},
    outputs={"kept": Document, "rejected": Rejection},
    run=run_documents,
    conserves=True,
)

DIALOGUES = Stage(
    name="anonymise_dialogues",
    revision=1,
    summary="Replaces personal data in dialogues by its kind.",
    config=Config,
    inputs={"dialogues": Input("dialogues as they were written", record=Dialogue)},
    outputs={"kept": Dialogue, "rejected": Rejection},
    run=run_dialogues,
    conserves=True,
)
