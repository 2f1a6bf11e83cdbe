"""Questions about a document of prose: what a section says, numbers, dates, where something stands, what is absent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from metier.evaluation.ground_truth import number_spellings, salient_points
from metier.evaluation.phrasing import phrased, rank
from metier.evaluation.vocabulary import Vocabulary
from metier.records import Document, Question
from metier.text.facts import Fact, facts_of
from metier.text.words import content_words, name_words, stem

_STATES = {"effective": "in force", "superseded": "superseded"}


def prose_questions(document: Document, corpus: Vocabulary, abstention: str, seed: int) -> Iterator[Question]:
    """All questions that can be asked about a document, of every slice. None where its title names others too."""
    if not corpus.tells_apart(document):
        return
    for fact in facts_of(document):
        if fact.kind == "number":
            yield from _number(document, fact, seed)
        elif fact.kind == "date":
            yield from _date(document, fact, seed)
        elif fact.kind == "purpose":
            yield from _statement(document, fact, corpus, seed)
    yield from _unanswerable(document, corpus, abstention, seed)


def _question(
    document: Document, slice_: Any, task: str, prompt: str, reference: str, points: tuple[str, ...], **more: Any
) -> Question:
    return document.derive(Question, prompt=prompt, reference=reference, points=points, slice=slice_, task=task,
                           split=document.split, uri=document.uri, **more)  # fmt: skip


def _number(document: Document, fact: Fact, seed: int) -> Iterator[Question]:
    spelling = number_spellings(fact.value)
    prompt = phrased("prose_number", seed, title=document.title, detail=fact.detail)
    yield _question(document, "numeric", "number", prompt, fact.evidence, (spelling,))
    prompt = phrased("json_number", seed, title=document.title, detail=fact.detail)
    reference = json.dumps({"document": document.title, "value": fact.value}, ensure_ascii=False)
    yield _question(
        document,
        "format",
        "json_number",
        prompt,
        reference,
        (spelling,),
        format="json",
        json_keys=("document", "value"),
    )


def _date(document: Document, fact: Fact, seed: int) -> Iterator[Question]:
    state = _STATES[fact.detail]
    prompt = phrased("prose_date", seed, title=document.title, state=state)
    yield _question(
        document, "factual", "date", prompt, f'"{document.title}" is {state} from {fact.value}.', (fact.value,)
    )
    prompt = phrased("json_date", seed, title=document.title, state=state)
    reference = json.dumps({"document": document.title, "date": fact.value}, ensure_ascii=False)
    yield _question(
        document, "format", "json_date", prompt, reference, (fact.value,), format="json", json_keys=("document", "date")
    )


def _statement(document: Document, fact: Fact, corpus: Vocabulary, seed: int) -> Iterator[Question]:
    points = salient_points(fact.value, corpus, name_words(fact.subject) | name_words(document.title))
    if len(points) < 2:
        return
    if fact.subject != document.title:
        prompt = phrased("prose_purpose", seed, title=document.title, name=fact.subject)
        yield _question(document, "factual", "purpose", prompt, fact.value, points)
    title = content_words(document.title)
    if (
        title
        and corpus.summaries[fact.value.lower()] == 1
        and not name_words(document.title) & {stem(w) for w in content_words(fact.value)}
    ):
        prompt = phrased("prose_which", seed, value=fact.value)
        yield _question(document, "usage", "which", prompt, f'"{document.title}" says so.', tuple(title[:4]))


def _unanswerable(document: Document, corpus: Vocabulary, abstention: str, seed: int) -> Iterator[Question]:
    """About the heading of another document, no word of which stands in this one."""
    own = {stem(w) for w in content_words(document.text)}
    foreign = [h for h in corpus.headings if (w := content_words(h)) and not own & {stem(x) for x in w}]
    if foreign:
        heading = min(foreign, key=lambda h: rank(seed, "absent_heading", document.uri, h))
        prompt = phrased("absent_heading", seed, title=document.title, detail=heading)
        yield _question(document, "unanswerable", "absent_heading", prompt, abstention, (), answerable=False)
