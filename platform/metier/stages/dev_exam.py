"""The dev exam as stages find it in their inputs: a seeded choice of the dev half, with finished prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metier.execution.step import Context
from metier.records import Passage, Question, record_id
from metier.retrieval.embedding import Embedder
from metier.retrieval.index import Retriever
from metier.retrieval.prompt import prompt_messages
from metier.stages.index import FOLDER as INDEX
from metier.training.dev_exam import DevQuestion


def dev_exam(context: Context[Any], number: int, seed: int, passages: int) -> list[DevQuestion]:
    """`number` questions of the input `questions`; with `passages` each where the inputs `index` and `embedder` were given."""
    asked = [q for q in context.records("questions", Question) if q.split == "dev"]
    chosen = sorted(asked, key=lambda q: record_id("dev", [seed, q.id]))[:number]
    found: list[list[Passage]] = [[] for _ in chosen]
    if chosen and context.has("index") and context.has("embedder"):
        retriever = Retriever(Path(context.location("index")) / INDEX, Embedder(context.location("embedder")))
        found = retriever.search_many([q.prompt for q in chosen], passages)
    return [DevQuestion(q, prompt_messages(q.prompt, hits)) for q, hits in zip(chosen, found, strict=True)]
