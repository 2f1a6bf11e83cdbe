"""Replaces personal data by surrogates, in documents before anything is written from them, and in dialogues afterwards.

Nothing else changes, and a record that holds nothing personal stays the record that it was. The key of keyed surrogates
comes from the environment and enters neither the config nor any file; its fingerprint does, so another key is another step.

What ingest writes is as raw as its sources, its rejections included: they hold whole rows, so that nothing is lost, and
nobody is shown them. From here on no artifact holds what was recognised.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from metier.config import StageConfig
from metier.errors import InputError
from metier.execution.dataflow import map_table, stream
from metier.execution.step import Context, Input, Stage
from metier.lineage.manifest import Counts
from metier.records import Dialogue, Document, Record, Rejection
from metier.text import domain_identifiers, name_models
from metier.text.checksums import bare
from metier.text.domain_identifiers import DomainIdentifier
from metier.text.name_models import NameModelSource
from metier.text.personal import KINDS, Finder, Kind, finder, throughout
from metier.text.preserving import UNFORMED, preserving
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

    kinds: tuple[Kind, ...] = KINDS
    """Kinds of personal data that are looked for. PERSON goes by lists of names and by words such as "Mr", and by a model where
    one is given; DATE, which is not among the defaults, is every written day, DATE_OF_BIRTH only what is said to be one."""
    domain: tuple[DomainIdentifier, ...] = ()
    """Numbers of this domain's own, such as accounts, patients or cases: {kind: CLAIM, pattern: 'CL-[0-9]{8}'}."""
    threshold: float = Field(0.4, ge=0, le=1)
    """How sure the recogniser must be: 1 with check digits, 0.8 with a word that names it, 0.6 by form alone, 0.4 a telephone."""
    name_labels: tuple[str, ...] = Field(("PER", "PERSON"), min_length=1)
    """Which labels of a model of names are people (without B- and I-)."""
    surrogates: Literal["numbered", "keyed", "format_preserving"] = "numbered"
    """numbered: `<EMAIL_ADDRESS_1>`, the same for the same value within a record, can't be undone. keyed: the same for the
    same value everywhere, by a secret in METIER_PSEUDONYM_KEY, so that one customer stays one across documents.
    format_preserving: keyed too; numbers become others of their form with right check digits, days move by the same time."""
    key_fingerprint: str = ""
    """Which key keyed surrogates are made with: found from METIER_PSEUDONYM_KEY. Given here, another key is refused."""

    @field_validator("domain")
    @classmethod
    def _of_its_own(cls, given: tuple[DomainIdentifier, ...]) -> tuple[DomainIdentifier, ...]:
        taken = {one.kind for one in given} & set(get_args(Kind))
        if taken:
            raise ValueError(f"{min(taken)} is a kind already: give it another name")
        return given

    @field_validator("key_fingerprint")
    @classmethod
    def _of_the_key(cls, given: str, info: ValidationInfo) -> str:
        if info.data.get("surrogates") == "numbered":
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
        raise InputError(f"anonymise.surrogates: {KEY_ENV} {what}: set a long random secret, or use numbered")
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


def operator(
    config: Config, names: str = "", standing: frozenset[str] = frozenset()
) -> Callable[[list[Any]], Iterator[Any]]:
    """Records of any type with their texts masked. A record that held nothing personal stays as it is.

    `names` is the location of a model of names. Numbers that are `standing` are surrogates already, and stay.
    """
    across: Surrogate | None = None
    if config.surrogates != "numbered":
        key = _checked_key(config)
        across = keyed(key) if config.surrogates == "keyed" else _but(standing, preserving(key))

    def apply(records: list[Record]) -> Iterator[Record | Rejection]:
        find = _finder(config, names)
        for record in records:
            texts = list(texts_of(record))
            surrogate, within = across or numbered(texts), throughout(texts, find)
            fields = [f.name for f in dataclasses.fields(record) if f.name not in _KEPT]

            def rewrite(text: str, find: Finder = within, surrogate: Surrogate = surrogate) -> str:
                return masked(text, find, surrogate)

            now = {name: rewritten(getattr(record, name), rewrite) for name in fields}
            changed = any(now[name] != getattr(record, name) for name in fields)
            yield record.derive(type(record), **now) if changed else record

    return apply


@functools.cache
def _finder(config: Config, names: str) -> Finder:
    """One a process: patterns are compiled and models loaded once."""
    more = [domain_identifiers.recogniser(one) for one in config.domain]
    if names:
        more.append(name_models.recogniser(names, config.name_labels))
    return finder(config.kinds, config.threshold, more)


def _but(standing: frozenset[str], surrogate: Surrogate) -> Surrogate:
    return lambda kind, value: value if bare(value) in standing else surrogate(kind, value)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Numbers(Record):
    """The surrogates in one document that look like what they replaced. Never written anywhere."""

    values: tuple[str, ...]


def numbers_in(config: Config, names: str) -> Callable[[list[Any]], Iterator[Numbers]]:
    """What is found in records that are anonymous already: these are the surrogates."""

    def apply(records: list[Record]) -> Iterator[Numbers]:
        find = _finder(config, names)
        for record in records:
            texts = [(text, find(text)) for text in texts_of(record)]
            yield record.derive(
                Numbers,
                values=tuple(bare(t[f.start : f.end]) for t, finds in texts for f in finds if f.kind not in UNFORMED),
            )

    return apply


def _checked_key(config: Config) -> bytes:
    """The key that the config was made for: it may have changed since the plan."""
    key = secret_key()
    if key_fingerprint(key) != config.key_fingerprint:
        raise InputError(
            f"anonymise: {KEY_ENV} is not the key {config.key_fingerprint} that this step was planned with"
        )
    return key


def _names(context: Context[Config]) -> str:
    return context.location("names") if context.has("names") else ""


def run_documents(context: Context[Config]) -> Counts:
    """Masks documents."""
    return map_table(context, "documents", Document, operator(context.config, _names(context)), Document)


def run_dialogues(context: Context[Config]) -> Counts:
    """Masks dialogues."""
    config, names, standing = context.config, _names(context), frozenset[str]()
    if config.surrogates == "format_preserving" and context.has("documents"):
        found = stream(context, "documents", Document, numbers_in(config, names), Numbers)
        standing = frozenset(value for one in found if isinstance(one, Numbers) for value in one.values)
    return map_table(context, "dialogues", Dialogue, operator(config, names, standing), Dialogue)


_NAMES = Input(
    "a model that finds names: a spaCy or a transformers folder, or a hub id", optional=True, opens=NameModelSource
)

STAGE = Stage(
    name="anonymise",
    revision=2,
    summary="Replaces personal data in documents by surrogates.",
    config=Config,
    inputs={"documents": Input("documents as they were read", record=Document), "names": _NAMES},
    outputs={"kept": Document, "rejected": Rejection},
    run=run_documents,
    conserves=True,
)

DIALOGUES = Stage(
    name="anonymise_dialogues",
    revision=2,
    summary="Replaces personal data in dialogues by surrogates.",
    config=Config,
    inputs={
        "dialogues": Input("dialogues as they were written", record=Dialogue),
        "documents": Input(
            "output of anonymise: its format-preserving surrogates stay", record=Document, optional=True
        ),
        "names": _NAMES,
    },
    outputs={"kept": Dialogue, "rejected": Rejection},
    run=run_dialogues,
    conserves=True,
)
