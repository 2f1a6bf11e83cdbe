"""Asks a running service as a client would, and checks what it must always hold: a key, citations to the letter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from metier.errors import StepError
from metier.retrieval.index import TABLE

Heard = Callable[[int, float], None]
"""Called after each question with its number and the seconds until the first token."""


@dataclass(frozen=True)
class SmokeAnswer:
    """A question with the answer and the citations that came."""

    question: str
    answer: str
    finish_reason: str
    citations: tuple[dict[str, Any], ...]


def ask(address: str, key: str, model: str, index: Path, questions: Sequence[str], heard: Heard) -> list[SmokeAnswer]:
    """Asks every question plainly and streamed. Raises StepError when an answer or its citations are not as they must be."""
    import openai

    with openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as client:
        _refuse_open_door(client)
        answers = []
        for number, question in enumerate(questions, 1):
            whole = _whole(client, model, question)
            streamed, seconds = _streamed(client, model, question)
            _check(whole, index)
            if streamed.citations != whole.citations:
                raise StepError(f"smoke: the streamed answer to {question!r} cites other passages than the plain one")
            answers.append(whole)
            heard(number, seconds)
        return answers


def _refuse_open_door(client: Any) -> None:
    import openai

    try:
        client.with_options(api_key="wrong").models.list()
    except openai.AuthenticationError:
        return
    raise StepError("smoke: the service answers a request with a wrong key")


def _whole(client: Any, model: str, question: str) -> SmokeAnswer:
    said = client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}])
    choice = said.choices[0]
    return SmokeAnswer(question, choice.message.content or "", choice.finish_reason, _citations(said))


def _streamed(client: Any, model: str, question: str) -> tuple[SmokeAnswer, float]:
    began = monotonic()
    first, text, reason = 0.0, "", ""
    cited: tuple[dict[str, Any], ...] = ()
    for chunk in client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], stream=True
    ):
        first = first or monotonic() - began
        text += chunk.choices[0].delta.content or ""
        reason = chunk.choices[0].finish_reason or reason
        cited = _citations(chunk) or cited
    return SmokeAnswer(question, text, reason, cited), first


def _citations(said: Any) -> tuple[dict[str, Any], ...]:
    return tuple((said.model_extra or {}).get("citations") or ())


def _check(answer: SmokeAnswer, index: Path) -> None:
    if answer.finish_reason not in ("stop", "length"):
        raise StepError(f"smoke: the answer to {answer.question!r} did not end ({answer.finish_reason!r})")
    if not answer.citations:
        raise StepError(f"smoke: the answer to {answer.question!r} cites nothing")
    texts = passage_texts(index, (c["passage_id"] for c in answer.citations))
    for citation in answer.citations:
        if citation["text"] != texts.get(citation["passage_id"]):
            raise StepError(f"smoke: citation {citation['number']} of {answer.question!r} is not the passage's text")


def passage_texts(index: Path, ids: Iterable[str]) -> dict[str, str]:
    """The texts of some passages of an index, by id."""
    import lancedb

    wanted = ", ".join(f"'{one}'" for one in ids if one.isalnum())
    table = lancedb.connect(str(index)).open_table(TABLE)
    rows = table.search().where(f"id IN ({wanted})").select(["id", "text"]).to_list() if wanted else []
    return {row["id"]: row["text"] for row in rows}
