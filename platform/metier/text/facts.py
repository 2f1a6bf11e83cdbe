"""What a document states, as single facts with the text that states them. Exam and training pairs are made from these.

API objects give what reflection and their documentation say. Prose gives the first sentence under each heading, its
sentences with a number, and its dates. A fact that its own document contradicts is left out: nobody could answer it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from metier.records import ApiObject, Document, Parameter
from metier.text.annotations import COMPUTED
from metier.text.apitext import parameter_line, qualified_signature
from metier.text.sections import blocks, is_code, sections, sentences, words

FactKind = Literal["purpose", "default", "type", "parameter", "parameters", "returns", "example", "number", "date"]
_SENTINEL = re.compile(r"DEPRECATED|\bDEFAULT\b|[<>]|\(\.\.\.\)|[Ss]entinel")
_STATED = re.compile(
    r"\b[Dd]efaults?(?: value)?(?: is| to|:)+ (?:the )?`*(?P<value>\"[^\"]*\"|'[^']*'|-?\d[\d_,.eE+-]*|\w+)"
)
_CLOZE = re.compile(r"(?<![\w.,/#:-])(\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)(?![\w/:-])(?!\.\d)(?!,\d)")
_LITERALS = {"none", "true", "false"}
MAX_WORDS = 60


@dataclass(frozen=True)
class Fact:
    """One fact: its subject, kind, detail (a parameter's name), value, and the text that holds it."""

    subject: str
    kind: FactKind
    detail: str
    value: str
    evidence: str


def facts_of(document: Document) -> list[Fact]:
    """The facts of a document, in the order in which it states them."""
    return list(_api_facts(document.api) if document.api else _prose_facts(document))


def _api_facts(api: ApiObject) -> Iterator[Fact]:
    signature = qualified_signature(api)
    head = f"{signature}: {api.summary}" if api.summary else signature
    if words(api.summary) >= 3:
        yield Fact(api.name, "purpose", "", api.summary, head)
    for parameter in api.parameters:
        yield from _parameter_facts(api.name, parameter)
    if api.parameters:
        yield Fact(api.name, "parameters", "", ", ".join(p.name for p in api.parameters), signature)
    if api.returns and words(api.returns) <= MAX_WORDS:
        yield Fact(api.name, "returns", "", api.returns, api.returns)
    if api.example:
        yield Fact(api.name, "example", "", api.example, api.example)


def _parameter_facts(subject: str, parameter: Parameter) -> Iterator[Fact]:
    line = parameter_line(parameter)
    if parameter.default is not None and is_stable_default(parameter):
        yield Fact(subject, "default", parameter.name, parameter.default, line)
    if parameter.annotation and parameter.annotation != "Any":
        yield Fact(subject, "type", parameter.name, parameter.annotation, line)
    first = next(iter(sentences(parameter.description)), "")
    if 3 <= words(first) <= MAX_WORDS:
        yield Fact(subject, "parameter", parameter.name, first, line)


def is_stable_default(parameter: Parameter) -> bool:
    """Whether a default can be asked for: a real value, not a sentinel, which the description does not contradict."""
    default = parameter.default or ""
    if default == COMPUTED or _SENTINEL.search(default):
        return False
    stated = [m["value"] for m in _STATED.finditer(parameter.description)]
    return all(_plain(value) == _plain(default) for value in stated if _is_literal(value))


def _is_literal(text: str) -> bool:
    return text[0] in "\"'-0123456789" or text.lower() in _LITERALS


def _plain(value: str) -> str:
    """A value as it compares: without quotes, 1,000 as 1000, 1.0 as 1."""
    text = value.strip("\"'`").rstrip(".,").lower()
    number = text.replace(",", "").replace("_", "")
    try:
        return repr(float(number))
    except ValueError:
        return text


def _prose_facts(document: Document) -> Iterator[Fact]:
    for section in sections(document.text):
        subject = section.heading or document.title
        prose = [" ".join(b.split()) for b in blocks(section.body) if not is_code(b) and not b.lstrip().startswith("|")]
        lines = [s for block in prose for s in sentences(re.sub(r"^([-*+>]|\d+[.)])\s+", "", block))]
        lines = [s for s in lines if words(s) <= MAX_WORDS]
        first = next((s for s in lines if words(s) >= 5 and s.endswith((".", "!"))), "")
        if first:
            yield Fact(subject, "purpose", "", first, first)
        for line in lines:
            numbers = _CLOZE.findall(line)
            if words(line) >= 5 and len(numbers) == 1:  # with two numbers nobody could say which one is asked for
                yield Fact(subject, "number", _CLOZE.sub("____", line), numbers[0], line)
    for name in ("effective", "superseded"):
        day = getattr(document, name)
        if day:
            yield Fact(document.title, "date", name, day, day)
