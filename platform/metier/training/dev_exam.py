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
from metier.training.engine import Engine
from metier.training.loop import DevScore

BATCH_ROWS = 16


@dataclasses.dataclass(frozen=True)
class DevQuestion:
    """One question of the dev exam with its finished prompt."""

    question: Question
    messages: tuple[Message, ...]


def dev_exam(questions: Sequence[DevQuestion], tokenizer: Any, max_tokens: int) -> Callable[[Engine], DevScore]:
    """A function that examines the model of an engine, greedily. Each worker answers its share; all get the score."""
    requests = [Request(id=q.question.id, messages=q.messages, max_tokens=max_tokens) for q in questions]

    def sit(engine: Engine) -> DevScore:
        import torch

        rank, world, number = engine.peers.rank, engine.peers.world, len(questions)
        places = range(rank, -(-number // world) * world, world)  # as many for each worker
        with engine.generating() as model:  # not in autocast: it would cast all weights anew for every token
            generator = TransformersGenerator(model, tokenizer, BATCH_ROWS, together=engine.collective)
            responses = generator.generate([requests[place % number] for place in places])
        marks = [
            (scored, scored**2, len(r.text.split()), ABSTENTION.lower() in r.text.lower())
            for place, r in zip(places, responses, strict=True)
            for scored in [grade(questions[place % number].question, r.text).score]
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
