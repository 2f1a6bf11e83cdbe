"""Who is asked about two answers between which rules find nothing: nobody, an NLI model, or a language model.

A judge only adds contradictions. What it says names it: the model by what it holds, and the words it was asked in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from metier.config import StageConfig
from metier.inference.engines import EngineConfig, VllmEngine
from metier.inference.protocol import Request, Response
from metier.inference.templates import JUDGEMENTS, template
from metier.text.claims import Contradiction, Open

DIGITS = 4  # of a probability; the last bits of a float depend on the processor and the batch


class NoJudge(StageConfig):
    """Rules alone decide."""

    judge: Literal["none"] = "none"
    """Who: nobody."""


class NliJudge(StageConfig):
    """A model of natural language inference. It is shown the two sentences that share most, each behind its question."""

    judge: Literal["nli"] = "nli"
    """Who: a sequence classifier of transformers with a label `contradiction`."""
    min_probability: float = Field(0.9, gt=0, le=1)
    """Probability of a contradiction, whichever sentence comes first, from which there is one."""
    max_pairs: int = Field(10_000, ge=1, le=1_000_000)
    """Pairs that it is asked about, those that share most words first."""


class LlmJudge(StageConfig):
    """A language model. It is shown both questions and both answers, sentence by sentence."""

    judge: Literal["llm"] = "llm"
    """Who: a language model."""
    engine: EngineConfig = Field(default_factory=VllmEngine)
    """What runs it."""
    template: str = "contradiction"
    """How it is asked. Settled as name@digest of its words."""
    max_pairs: int = Field(1000, ge=1, le=100_000)
    """Pairs that it is asked about, those that share most words first."""
    max_tokens: int = Field(16, ge=4, le=4096)
    """Longest reply, in tokens."""

    @field_validator("template")
    @classmethod
    def _settled(cls, name: str) -> str:
        return template(name, JUDGEMENTS).settled


JudgeConfig = Annotated[NoJudge | NliJudge | LlmJudge, Field(discriminator="judge")]
Scorer = Callable[[Sequence[tuple[str, str]]], list[float]]
"""The probability that the second text of each pair contradicts the first."""


def contradicted(found: Contradiction, sentences: tuple[str, str], why: str, judge: str) -> Contradiction:
    """The verdict with who gave it and on what grounds."""
    first, second = sentences
    return dataclasses.replace(
        found, id="", root_id="", first_sentence=first, second_sentence=second, why=why, found_by=judge
    )


def inferred(pairs: Sequence[Open], score: Scorer, config: NliJudge, model: str) -> Iterator[Contradiction]:
    """The contradictions that an NLI model sees, in whichever order it reads two sentences. `model`: what it is called."""
    said = [(one.said[0][one.closest[0]], one.said[1][one.closest[1]]) for one in pairs]
    texts = [(f"{one.questions[0]} {a}", f"{one.questions[1]} {b}") for one, (a, b) in zip(pairs, said, strict=True)]
    both = zip(score(texts), score([(b, a) for a, b in texts]), strict=True)
    for one, sentences, scores in zip(pairs, said, both, strict=True):
        sure = round(min(scores), DIGITS)
        if sure >= config.min_probability:
            yield contradicted(one.verdict, sentences, f"contradiction {sure:.2f}", f"NLI model {model}")


def asked(pairs: Sequence[Open], config: LlmJudge) -> list[Request]:
    """A request for each pair; its id is the place of the pair."""
    ask = template(config.template, JUDGEMENTS)
    return [Request(str(i), ask.messages(_shown(one)), config.max_tokens) for i, one in enumerate(pairs)]


def _shown(one: Open) -> str:
    """Two questions, each with the sentences of its answer, numbered."""
    return "\n".join(
        line
        for side, question, said in zip("AB", one.questions, one.said, strict=True)
        for line in (f"{side}: {question}", *(f"{side}{n}. {sentence}" for n, sentence in enumerate(said, 1)))
    )


def answered(
    one: Open, reply: Response, config: LlmJudge, model: str
) -> Contradiction | Literal["no", "unclear", "failed"]:
    """The contradiction that a language model sees, or why there is none. A yes without two sentences is unclear."""
    if reply.error:
        return "failed"
    parts = template(config.template, JUDGEMENTS).parsed(reply.text)
    if parts is None:
        return "unclear"
    if parts["verdict"].lower() == "no":
        return "no"
    places = [int(parts[side] or 0) for side in ("first", "second")]
    if not all(0 < n <= len(said) for n, said in zip(places, one.said, strict=True)):
        return "unclear"
    sentences = one.said[0][places[0] - 1], one.said[1][places[1] - 1]
    return contradicted(one.verdict, sentences, f"yes to {config.template}", f"language model {model}")
