"""Replaces personal data by surrogates, in documents before anything is written from them, and in dialogues afterwards.

Nothing else changes, and a record that holds nothing personal stays the record that it was. The key of keyed surrogates
comes from the environment and enters neither the config nor any file; its fingerprint does, so another key is another step.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from metier.config import StageConfig
from metier.errors import InputError
from metier.execution.dataflow import map_table
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Document, Record, Rejection
from metier.text.personal import Kind
from metier.text.pseudonyms import Surrogate, key_fingerprint, keyed, masked, numbered

KEY_ENV = "METIER_PSEUDONYM_KEY"
SHORTEST_KEY = 16
# What says where a record is from or how it is used, and is compared elsewhere: never rewritten.
_KEPT = frozenset(
    {"id", "root_id", "parent_ids", "uri", "kind", "module", "version", "effective", "superseded", "split", "role",
     "name", "signature", "default", "annotation", "task", "source", "framing", "passage_ids", "reviewed"}
)  # fmt: skip


class Config(StageConfig):
    """What counts as personal, and what takes its place."""

    kinds: tuple[Kind, ...] = ("EMAIL_ADDRESS", "PHONE_NUMBER", "IBAN_CODE", "CREDIT_CARD", "US_SSN", "IP_ADDRESS")
    """Kinds of personal data that are looked for (Presidio's names). Names of people have no pattern and are not found."""
    threshold: float = Field(0.4, ge=0, le=1)
    """How sure the recogniser must be."""
    surrogates: Literal["numbered", "keyed"] = "numbered"
    """numbered: `<EMAIL_ADDRESS_1>`, the same for the same value within a record, can't be undone. keyed: the same for the
    same value everywhere, by a secret in METIER_PSEUDONYM_KEY, so that one customer stays one across documents."""
    key_fingerprint: str = ""
    """Which key keyed surrogates are made with: found from METIER_PSEUDONYM_KEY. Given here, another key is refused."""

    @field_validator("key_fingerprint")
    @classmethod
    def _of_the_key(cls, given: str, info: ValidationInfo) -> str:
        if info.data.get("surrogates") != "keyed":
            return ""
        found = key_fingerprint(secret_key())
        if given and given != found:
            raise InputError(f"anonymise: {KEY_ENV} holds the key {found}, and key_fingerprint asks for {given}")
        return found


def secret_key() -> bytes:
    """The key from the environment. Raises InputError when there is none or it is short enough to be guessed."""
    key = os.environ.get(KEY_ENV, "").encode()
    if len(key) < SHORTEST_KEY:
        what = f"holds fewer than {SHORTEST_KEY} characters" if key else "is not set"
        raise InputError(f"anonymise.surrogates=keyed: {KEY_ENV} {what}: set a long random secret, or use numbered")
    return key


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a record that may be rewritten."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from texts_of(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if field.name not in _KEPT:
                yield from texts_of(getattr(value, field.name))


def rewritten(value: Any, rewrite: Callable[[str], str]) -> Any:
    """The same value with every text in it rewritten, but for the fields that are kept."""
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, tuple):
        return tuple(rewritten(item, rewrite) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f.name for f in dataclasses.fields(value) if f.name not in _KEPT]
        return dataclasses.replace(value, **{name: rewritten(getattr(value, name), rewrite) for name in fields})
    return value


def operator(config: Config) -> Callable[[list[Any]], Iterator[Any]]:
    """Records of any type with their texts masked. A record that held nothing personal stays as it is."""
    across: Surrogate | None = keyed(_checked_key(config)) if config.surrogates == "keyed" else None

    def apply(records: list[Record]) -> Iterator[Record | Rejection]:
        for record in records:
            surrogate = across or numbered(texts_of(record))
            names = [f.name for f in dataclasses.fields(record) if f.name not in _KEPT]

            def rewrite(text: str, surrogate: Surrogate = surrogate) -> str:
                return masked(text, config.kinds, config.threshold, surrogate)

            now = {name: rewritten(getattr(record, name), rewrite) for name in names}
            changed = any(now[name] != getattr(record, name) for name in names)
            yield record.derive(type(record), **now) if changed else record

    return apply


def _checked_key(config: Config) -> bytes:
    """The key that the config was made for: it may have changed since the plan."""
    key = secret_key()
    if key_fingerprint(key) != config.key_fingerprint:
        raise InputError(
            f"anonymise: {KEY_ENV} is not the key {config.key_fingerprint} that this step was planned with"
        )
    return key


def run_documents(context: Context[Config]) -> Counts:
    """Masks documents."""
    return map_table(context, "documents", Document, operator(context.config), Document)


def run_dialogues(context: Context[Config]) -> Counts:
    """Masks dialogues."""
    return map_table(context, "dialogues", Dialogue, operator(context.config), Dialogue)


STAGE = Stage(
    name="anonymise",
    revision=1,
    summary="Replaces personal data in documents by surrogates.",
    config=Config,
    inputs={"documents": Input("documents as they were read", record=Document)},
    outputs={"kept": Document, "rejected": Rejection},
    run=run_documents,
    conserves=True,
)

DIALOGUES = Stage(
    name="anonymise_dialogues",
    revision=1,
    summary="Replaces personal data in dialogues by surrogates.",
    config=Config,
    inputs={"dialogues": Input("dialogues as they were written", record=Dialogue)},
    outputs={"kept": Dialogue, "rejected": Rejection},
    run=run_dialogues,
    conserves=True,
)
