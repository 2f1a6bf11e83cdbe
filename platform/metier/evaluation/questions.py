"""The derived half of the exam: candidates from each document, and the choice among them.

A choice is spread: over documents first, then over the kinds of question in a slice, then over the answers, so that
neither one long document nor one answer ("None") makes the exam.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping

from metier.evaluation.api_questions import api_questions
from metier.evaluation.phrasing import rank
from metier.evaluation.prose_questions import prose_questions
from metier.evaluation.vocabulary import Vocabulary
from metier.records import Document, Question, Slice

PER_TASK = 8  # candidates kept of a document for each kind of question: plenty to choose from, little to hold


def candidates(document: Document, corpus: Vocabulary, abstention: str, seed: int) -> list[Question]:
    """The questions that may be asked about a document, at most `PER_TASK` of a kind."""
    if document.api:
        found = list(api_questions(document, document.api, corpus, abstention, seed))
    else:
        found = list(prose_questions(document, corpus, abstention, seed))
    found.sort(key=lambda q: (rank(seed, q.prompt), q.prompt))
    taken: collections.Counter[tuple[str, str]] = collections.Counter()
    kept = []
    for question in found:
        taken[question.slice, question.task] += 1
        if taken[question.slice, question.task] <= PER_TASK:
            kept.append(question)
    return kept


def select(
    found: Iterable[Question], per_slice: Mapping[Slice, int], max_per_document: int, seed: int
) -> list[Question]:
    """Questions for one split: as many of each slice as asked for and there are. The scarcest slice chooses first."""
    by_slice: dict[Slice, list[Question]] = {name: [] for name in per_slice}
    for question in found:
        if question.slice in by_slice:
            by_slice[question.slice].append(question)
    documents: collections.Counter[str] = collections.Counter()
    prompts: set[str] = set()
    chosen: list[Question] = []
    for name in sorted(by_slice, key=lambda s: (len(by_slice[s]) - per_slice[s], s)):
        chosen += _spread(by_slice[name], per_slice[name], max_per_document, seed, documents, prompts)
    return chosen


def _spread(
    found: list[Question],
    wanted: int,
    max_per_document: int,
    seed: int,
    documents: collections.Counter[str],
    prompts: set[str],
) -> list[Question]:
    """Takes the least represented question again and again. A split's slices share `documents` and `prompts`."""
    left = {q.id: q for q in found}
    tasks: collections.Counter[str] = collections.Counter()
    answers: collections.Counter[tuple[str, ...]] = collections.Counter()
    chosen: list[Question] = []
    while len(chosen) < wanted:
        open_ = [q for q in left.values() if documents[q.uri] < max_per_document and q.prompt.lower() not in prompts]
        if not open_:
            break
        best = min(
            open_,
            key=lambda q: (documents[q.uri], tasks[q.task], answers[q.points[-1:]], rank(seed, q.prompt), q.prompt),
        )
        del left[best.id]
        chosen.append(best)
        documents[best.uri] += 1
        tasks[best.task] += 1
        answers[best.points[-1:]] += 1
        prompts.add(best.prompt.lower())
    return chosen
