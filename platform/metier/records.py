"""The records that flow between stages, and the one function that makes their ids.

A record is frozen. Its id is a digest of its own content, so the same content has the same id on every machine and in
every run; `derive` is the only way to make a child, and it writes the lineage down. Each stage's table holds one
record type, and the Parquet schema follows from the type (`metier.lineage.shards`).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, TypeVar, cast

Split = Literal["", "train", "dev", "final"]
Framing = Literal["closed_book", "retrieval"]
Role = Literal["system", "user", "assistant"]
Slice = Literal["numeric", "factual", "usage", "format", "unanswerable"]

R = TypeVar("R", bound="Record")


def record_id(kind: str, content: Any) -> str:
    """A 128-bit hexadecimal digest of a record's type name and its JSON-able content."""
    canonical = json.dumps([kind, content], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Base of all records: `id` from content, `parent_ids` it was made from, `root_id` of its source document."""

    id: str = ""
    root_id: str = ""
    parent_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.id:
            content = dataclasses.asdict(self)
            del content["id"]
            object.__setattr__(self, "id", record_id(type(self).__name__, content))
        if not self.root_id:
            object.__setattr__(self, "root_id", self.id)

    def derive(self, kind: type[R], **fields: Any) -> R:
        """A child of this record. Of the same type, it keeps the fields that are not named."""
        kept: dict[str, Any] = {}
        if kind is type(self):
            kept = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        kept |= fields | {"id": "", "root_id": self.root_id, "parent_ids": (self.id,)}
        return kind(**kept)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a documented callable; `default` is its source text, None where there is none."""

    name: str
    annotation: str = ""
    default: str | None = None
    description: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ApiObject:
    """What a programming language's own reflection says of a public object."""

    name: str  # qualified: ray.data.Dataset.map
    kind: Literal["function", "method", "class"]
    signature: str  # without annotations: map(fn, *, compute=None)
    summary: str  # first sentence of the documentation
    parameters: tuple[Parameter, ...] = ()
    returns: str = ""
    example: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document(Record):
    """One source document as Markdown text, a form feed where a page ends. Dates are ISO 8601 days; empty where unknown."""

    uri: str  # relative path in its folder, or the qualified name of an API object
    title: str
    text: str
    kind: str = "file"  # file, function, method, class
    module: str = ""
    version: str = ""
    effective: str = ""  # from when it holds
    superseded: str = ""  # from when it no longer holds
    split: Split = ""
    api: ApiObject | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Passage(Record):
    """A piece of a document, small enough to be retrieved and put into a prompt."""

    uri: str  # its document's; leave.pdf#page=3 where that has pages
    title: str
    section: str
    text: str
    position: int  # 0-based place in its document
    split: Split = ""
    effective: str = ""
    superseded: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue(Record):
    """A training example: one user interaction, what grounds it, and where it came from."""

    messages: tuple[Message, ...]
    task: str  # purpose, default, type, parameters, returns, example, which, difference, json, unanswerable, teacher
    source: Literal["structured", "teacher", "production"]
    split: Split = ""
    framing: Framing = "closed_book"
    evidence: str = ""  # the text that the answer must be grounded in; empty for an unanswerable question
    passage_ids: tuple[str, ...] = ()  # what stands in the prompt, in order
    effective: str = ""
    superseded: str = ""
    reviewed: Literal["", "accepted", "edited"] = ""

    def __post_init__(self) -> None:
        if not {"user", "assistant"} <= {m.role for m in self.messages}:
            raise ValueError("messages need a user and an assistant turn")
        Record.__post_init__(self)  # super() knows another class than the one with slots

    @property
    def question(self) -> str:
        """The last user turn."""
        return next(m.content for m in reversed(self.messages) if m.role == "user")

    @property
    def answer(self) -> str:
        """The last assistant turn."""
        return next(m.content for m in reversed(self.messages) if m.role == "assistant")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rejection(Record):
    """A row that was not kept: by which stage, for which reason code, on what evidence. `row` is the row as JSON."""

    record_id: str
    stage: str
    reason: str
    evidence: str
    row: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Record):
    """What an expert said of a record: accept, reject, or the corrected answer."""

    record_id: str
    decision: Literal["accept", "edit", "reject"]
    reviewer: str
    answer: str = ""
    comment: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question(Record):
    """An exam question with its ground truth.

    A complete answer holds every entry of `points`; an entry "a|b" is held by either. `format` is the rule for the
    answer's form: `text`, `value` (the bare value), `json` (an object with `json_keys`).
    """

    prompt: str
    reference: str
    points: tuple[str, ...]
    slice: Slice
    task: str
    split: Split
    format: Literal["text", "value", "json"] = "text"
    json_keys: tuple[str, ...] = ()
    answerable: bool = True
    written_by: Literal["derived", "hand"] = "derived"
    uri: str = ""  # the document that holds the answer


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Grade(Record):
    """One answer to one exam question. The four scores lie in [0, 1]."""

    question_id: str
    candidate: str  # base, base+few-shot, base+retrieval, tuned, tuned+retrieval, tuned-w8a8+retrieval, ...
    slice: Slice
    split: Split
    prompt: str
    reference: str
    answer: str
    correctness: float
    completeness: float
    format: float
    score: float
    passage_ids: tuple[str, ...] = ()
    gold_retrieved: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of a trial; `value` is its JSON."""

    name: str
    value: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial(Record):
    """One trial of a search. Scores are those of the checkpoint that training would keep; None where there is none."""

    settings: tuple[Setting, ...]
    state: Literal["complete", "pruned", "failed"]
    checkpoints: int  # that it took
    step: int | None = None
    score: float | None = None  # dev exam
    error: float | None = None  # its standard error
    val_loss: float | None = None
    reason: str = ""  # of a failure


def rejection(record: Record, stage: str, reason: str, evidence: str) -> Rejection:
    """The rejection of `record`, which keeps the whole row so that nothing is lost."""
    row = json.dumps(dataclasses.asdict(record), ensure_ascii=False, sort_keys=True)
    return record.derive(Rejection, record_id=record.id, stage=stage, reason=reason, evidence=evidence[:2000], row=row)


def record_from(kind: type[R], row: dict[str, Any]) -> R:
    """A record from a plain mapping. Raises ValueError naming the column that is missing, unknown or ill-typed."""
    return cast(R, _from_mapping(kind, row, ""))


def unfit_columns(kind: type, names: Collection[str]) -> str:
    """Why no table of these columns holds records of this type, in words; empty where one may."""
    missing = [field.name for field in dataclasses.fields(kind) if _is_required(field) and field.name not in names]
    return _unknown(names, _hints(kind)) or (f"column {missing[0]} is missing" if missing else "")


def _unknown(names: Iterable[str], hints: Mapping[str, Any]) -> str:
    unknown = sorted(set(names) - set(hints))
    return f"unknown column {unknown[0]!r}; known are {', '.join(hints)}" if unknown else ""


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _build(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _build(next(a for a in args if a is not type(None)), value, where)
    if value is None:
        raise ValueError(f"{where} is empty")
    if dataclasses.is_dataclass(hint):
        return _from_mapping(cast(type, hint), value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where} is not a list")
        return tuple(_build(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is typing.Literal:
        if value not in args:
            raise ValueError(f"{where} is {value!r}, not one of {', '.join(repr(a) for a in args)}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{where} is {type(value).__name__}, not {hint.__name__}")
    return value


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _from_mapping(kind: type, row: Any, where: str) -> Any:
    if not isinstance(row, dict):
        raise ValueError(f"{where or 'row'} is not an object")
    hints = _hints(kind)
    if fault := _unknown(row, hints):
        raise ValueError(fault)
    values = {}
    for field in dataclasses.fields(kind):
        if row.get(field.name) is None and type(None) not in typing.get_args(hints[field.name]):
            if _is_required(field):
                raise ValueError(f"column {where + '.' if where else ''}{field.name} is missing")
            continue
        if field.name in row:
            values[field.name] = _build(hints[field.name], row[field.name], f"{where}.{field.name}".lstrip("."))
    return kind(**values)
