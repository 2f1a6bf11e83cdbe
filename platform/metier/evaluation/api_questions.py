"""Exam questions about an API object. The ground truth is what reflection and the documentation say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from metier.evaluation.ground_truth import default_spellings, is_number, literal, salient_points, type_points
from metier.evaluation.phrasing import phrased, rank
from metier.evaluation.vocabulary import Vocabulary
from metier.records import ApiObject, Document, Question
from metier.text.apitext import short_name
from metier.text.facts import Fact, facts_of
from metier.text.words import name_words

MOST_NAMED = 6  # parameters that an answer may be asked to list
_PLAIN_NAMES = 8  # from this length on a short name is told apart from ordinary words


def api_questions(
    document: Document, api: ApiObject, corpus: Vocabulary, abstention: str, seed: int
) -> Iterator[Question]:
    """All questions that can be asked about an object, of every slice."""
    asked = {p.name: p for p in api.parameters if "deprecated" not in p.description.lower()}
    for fact in facts_of(document):
        if fact.detail and (fact.detail not in asked or fact.detail.startswith(("*", "_"))):
            continue
        ask = _ASK.get(fact.kind)
        if ask:
            yield from ask(document, fact, corpus, seed)
    yield from _unanswerable(document, api, corpus, abstention, seed)


def _question(
    document: Document, slice_: Any, task: str, prompt: str, reference: str, points: tuple[str, ...], **more: Any
) -> Question:
    return document.derive(Question, prompt=prompt, reference=reference, points=points, slice=slice_, task=task,
                           split=document.split, uri=document.uri, **more)  # fmt: skip


def _json(document: Document, task: str, prompt: str, answer: dict[str, Any], points: tuple[str, ...]) -> Question:
    reference = json.dumps(answer, ensure_ascii=False)
    return _question(document, "format", task, prompt, reference, points, format="json", json_keys=tuple(answer))


def _default(document: Document, fact: Fact, corpus: Vocabulary, seed: int) -> Iterator[Question]:
    spelling = default_spellings(fact.value)
    if not spelling:
        return
    number = is_number(fact.value)
    prompt = phrased("default", seed, name=fact.subject, detail=fact.detail)
    reference = f"The default of `{fact.detail}` in {fact.subject} is {fact.value}."
    yield _question(document, "numeric" if number else "factual", "default", prompt, reference, (spelling,))
    prompt = phrased("json_default", seed, name=fact.subject, detail=fact.detail)
    value = literal(fact.value)
    answer = {"parameter": fact.detail, "default": value if isinstance(value, int | float | str | None) else fact.value}
    yield _json(document, "json_default", prompt, answer, (fact.detail, spelling))


def _type(document: Document, fact: Fact, corpus: Vocabulary, seed: int) -> Iterator[Question]:
    points = type_points(fact.value)
    if not points:
        return
    prompt = phrased("type", seed, name=fact.subject, detail=fact.detail)
    yield _question(document, "factual", "type", prompt, f"`{fact.detail}` accepts {fact.value}.", points)
    prompt = phrased("json_type", seed, name=fact.subject, detail=fact.detail)
    answer = {"parameter": fact.detail, "type": fact.value}
    yield _json(document, "json_type", prompt, answer, (fact.detail, *points))


def _purpose(document: Document, fact: Fact, corpus: Vocabulary, seed: int) -> Iterator[Question]:
    points = salient_points(fact.value, corpus, name_words(fact.subject))
    if len(points) >= 2:
        prompt = phrased("purpose", seed, name=fact.subject)
        yield _question(document, "factual", "purpose", prompt, fact.value, points)
        prompt = phrased("json_purpose", seed, name=fact.subject)
        yield _json(document, "json_purpose", prompt, {"name": fact.subject, "purpose": fact.value}, points)
    short = short_name(fact.subject)
    if (
        corpus.summaries[fact.value.lower()] == 1
        and len(fact.value.split()) >= 5
        and short.lower() not in fact.value.lower()
    ):
        prompt = phrased("which", seed, module=document.module, kind=document.kind, value=fact.value)
        yield _question(
            document, "usage", "which", prompt, f"That is {fact.subject}.", (_name_spellings(fact.subject),)
        )


def _name_spellings(name: str) -> str:
    """The qualified name, and shorter ones as long as they are no ordinary word."""
    parts = name.split(".")
    forms = [name, ".".join(parts[-2:])]
    if "_" in parts[-1] or len(parts[-1]) >= _PLAIN_NAMES:
        forms.append(parts[-1])
    return "|".join(dict.fromkeys(forms))


def _returns(document: Document, fact: Fact, corpus: Vocabulary, seed: int) -> Iterator[Question]:
    points = salient_points(fact.value, corpus, name_words(fact.subject))
    if len(points) >= 2:
        yield _question(document, "factual", "returns", phrased("returns", seed, name=fact.subject), fact.value, points)


def _parameter(document: Document, fact: Fact, corpus: Vocabulary, seed: int) -> Iterator[Question]:
    api = document.api
    assert api is not None  # asked for API documents only
    alike = [p for p in api.parameters if p.description.startswith(fact.value)]
    telling = fact.detail.lower() not in fact.value.lower() and name_words(fact.detail) - name_words(fact.value)
    if len(alike) == 1 and telling and len(fact.value.split()) >= 5:
        prompt = phrased("parameter", seed, name=fact.subject, value=fact.value)
        yield _question(document, "usage", "parameter", prompt, f"That is `{fact.detail}`.", (fact.detail,))


def _parameters(document: Document, fact: Fact, corpus: Vocabulary, seed: int) -> Iterator[Question]:
    names = tuple(n for n in fact.value.split(", ") if not n.startswith("*"))
    if not 2 <= len(names) <= MOST_NAMED:
        return
    prompt = phrased("parameters", seed, name=fact.subject)
    yield _question(document, "usage", "parameters", prompt, f"{fact.subject} takes {fact.value}.", names)
    prompt = phrased("json_parameters", seed, name=fact.subject)
    yield _json(document, "json_parameters", prompt, {"name": fact.subject, "parameters": list(names)}, names)


def _unanswerable(
    document: Document, api: ApiObject, corpus: Vocabulary, abstention: str, seed: int
) -> Iterator[Question]:
    """Of a parameter or method that exists elsewhere in the module, never here: plausible, and nowhere answered."""
    text = document.text.lower()
    takes_any = any(p.name.startswith("**") for p in api.parameters)

    def absent(names: set[str], kind: str) -> str:
        left = [n for n in names if n.lower() not in text and len(n) >= 4 and f"{api.name}.{n}" not in corpus.uris]
        return min(left, key=lambda n: rank(seed, kind, api.name, n), default="")

    missing = "" if takes_any else absent(corpus.parameters.get(document.module, set()), "absent_parameter")
    if missing:
        prompt = phrased("absent_parameter", seed, name=api.name, detail=missing)
        yield _question(document, "unanswerable", "absent_parameter", prompt, abstention, (), answerable=False)
    method = absent(corpus.methods.get(document.module, set()), "absent_method") if api.kind == "class" else ""
    if method:
        prompt = phrased("absent_method", seed, name=api.name, detail=method)
        yield _question(document, "unanswerable", "absent_method", prompt, abstention, (), answerable=False)


_ASK = {"default": _default, "type": _type, "purpose": _purpose, "returns": _returns, "parameter": _parameter,
        "parameters": _parameters}  # fmt: skip
