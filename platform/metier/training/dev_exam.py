"""The dev exam: questions that the model under training answers at a checkpoint, graded as the real exam's are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from metier.evaluation.graders import grade
from metier.inference.protocol import Request
from metier.inference.transformers_engine import TransformersGenerator
from metier.records import Message, Question
from metier.retrieval.prompt import ABSTENTION
from metier.training.course import DevScore
from metier.training.engine import Engine

BATCH_ROWS = 16


@dataclasses.dataclass(frozen=True)
class DevQuestion:
    """One question of the dev exam with its finished prompt."""

    question: Question
    messages: tuple[Message, ...]


def answered(
    model: Any, tokenizer: Any, questions: Sequence[DevQuestion], max_tokens: int, together: bool = False
) -> list[tuple[str, float]]:
    """What a model in memory answers to each question, greedily, and its score, graded as in the real exam.

    `together`: other workers generate in step with this one, as each holds a part of the weights.
    """
    requests = [Request(id=q.question.id, messages=q.messages, max_tokens=max_tokens) for q in questions]
    responses = TransformersGenerator(model, tokenizer, BATCH_ROWS, together=together).generate(requests)
    return [(r.text, grade(q.question, r.text).score) for q, r in zip(questions, responses, strict=True)]


def dev_exam(questions: Sequence[DevQuestion], tokenizer: Any, max_tokens: int) -> Callable[[Engine], DevScore]:
    """A function that examines the model of an engine. Each worker answers its share; all get the score."""

    def sit(engine: Engine) -> DevScore:
        import torch

        rank, world, number = engine.peers.rank, engine.peers.world, len(questions)
        places = range(rank, -(-number // world) * world, world)  # as many for each worker
        share = [questions[place % number] for place in places]
        with engine.generating() as model:  # not in autocast: it would cast all weights anew for every token
            answers = answered(model, tokenizer, share, max_tokens, together=engine.collective)
        marks = [
            (score, score**2, len(text.split()), ABSTENTION.lower() in text.lower())
            for place, (text, score) in zip(places, answers, strict=True)
            if place < number
        ]
        sums = torch.tensor(
            [math.fsum(column) for column in zip(*marks, strict=True)] or [0.0] * 4, dtype=torch.float64
        )
        sums = sums.to(engine.device)
        engine.peers.sum_(sums)
        return _scored(number, *sums.tolist())

    return sit


def _scored(number: int, score: float, squares: float, words: float, refused: float) -> DevScore:
    """From sums over all questions. The error counts one more answer of 0 and one of 1: few equal scores are not certain."""
    mean, spread = (score + 1) / (number + 2), squares + 1
    deviation = math.sqrt(max(0.0, spread - (number + 2) * mean**2) / (number + 1))
    return DevScore(
        score=round(score / number, 6),
        error=round(deviation / math.sqrt(number), 6),
        answer_words=round(words / number, 6),
        refusal_share=round(refused / number, 6),
    )
