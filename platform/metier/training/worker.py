"""What one training worker does, from files alone: load, train, and leave the best adapter behind.

The job folder holds `job.json`, `train.jsonl`, `validation.jsonl` and `dev.jsonl` (exam requests and questions);
`checkpoints/` lies in it too, so a restarted worker, or a restarted run, goes on from there.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from metier.errors import MetierError
from metier.evaluation.graders import grade
from metier.inference.protocol import Request
from metier.inference.transformers_engine import TransformersGenerator, load_tokenizer
from metier.records import Message, Question, record_from
from metier.retrieval.prompt import ABSTENTION
from metier.training import checkpoints
from metier.training.encoding import Example
from metier.training.gradient import Peers
from metier.training.course import History
from metier.training.guard import best_point
from metier.training.loop import DevScore, Recipe, Run, train
from metier.training.model import AnyMethod, Method, base_dtype, trainable, weights_in
from metier.training.preparation import prepared

JOB, TRAIN, VALIDATION, DEV = "job.json", "train.jsonl", "validation.jsonl", "dev.jsonl"
CHECKPOINTS, PROGRESS, RESULT, ADAPTER = "checkpoints", "progress.jsonl", "result.json", "adapter"
DEV_BATCH_ROWS = 16


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """Writes dataclasses as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(dataclasses.asdict(row), ensure_ascii=False) + "\n")


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:  # splitlines would also cut at U+2028, which texts hold
        return [json.loads(line) for line in file]


@dataclasses.dataclass(frozen=True)
class DevQuestion:
    """One question of the dev exam with its finished prompt."""

    question: Question
    messages: tuple[Message, ...]


def _dev_questions(path: Path) -> list[DevQuestion]:
    return [
        DevQuestion(record_from(Question, row["question"]), tuple(Message(**m) for m in row["messages"]))
        for row in _rows(path)
    ]


def dev_exam(questions: Sequence[DevQuestion], tokenizer: Any, max_tokens: int) -> Callable[[Any], DevScore]:
    """A function that examines a model in memory, greedily, and grades it as the real exam does."""
    requests = [Request(id=q.question.id, messages=q.messages, max_tokens=max_tokens) for q in questions]

    def sit(model: Any) -> DevScore:
        responses = TransformersGenerator(model, tokenizer, DEV_BATCH_ROWS).generate(requests)
        scores = [grade(q.question, r.text).score for q, r in zip(questions, responses, strict=True)]
        words = [len(r.text.split()) for r in responses]
        refused = [ABSTENTION.lower() in r.text.lower() for r in responses]
        number = len(responses)
        error = statistics.stdev([*scores, 0.0, 1.0]) / math.sqrt(number)  # few equal scores are not certain either
        return DevScore(sum(scores) / number, error, sum(words) / number, sum(refused) / number)

    return sit


def work(folder: Path, peers: Peers, device: str) -> None:
    """Trains in `folder`. A failure of ours is written into the result: it would fail again however often it is retried."""
    try:
        _work(folder, peers, device)
    except MetierError as error:
        if peers.rank == 0:
            result = {"error": type(error).__name__, "text": str(error)}
            (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")


def _work(folder: Path, peers: Peers, device: str) -> None:
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    recipe = Recipe(**job["recipe"])
    tokenizer = load_tokenizer(job["base"])
    examples, held_out = ([Example(**row) for row in _rows(folder / name)] for name in (TRAIN, VALIDATION))
    longest = max((len(e.ids) for e in (*examples, *held_out)), default=0)
    model, fit = prepared(job["base"], method_of(job["method"]), recipe, device, longest, peers.world)
    questions = _dev_questions(folder / DEV)
    run = Run(
        model=model,
        train=examples,
        validation=held_out,
        pad=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        work=folder / CHECKPOINTS,
        recipe=recipe,
        device=device,
        fit=fit,
        peers=peers,
        dev_exam=dev_exam(questions, tokenizer, job["dev_max_tokens"]) if questions else None,
        progress=_progress_file(folder) if peers.rank == 0 else lambda done, total, what: None,
    )
    run.work.mkdir(exist_ok=True)
    history = train(run)
    if peers.rank == 0:
        _finish(folder, run, tokenizer, history)


def method_of(tree: dict[str, Any]) -> AnyMethod:
    """The method that a JSON tree describes."""
    found: AnyMethod = TypeAdapter(Method).validate_python(tree)
    return found


def _progress_file(folder: Path) -> Callable[[int, int, str], None]:
    def say(done: int, total: int, what: str) -> None:
        with (folder / PROGRESS).open("a", encoding="utf-8") as file:
            file.write(json.dumps([done, total, what]) + "\n")

    return say


def _finish(folder: Path, run: Run, tokenizer: Any, history: History) -> None:
    """Puts the best checkpoint's weights back and saves them as an adapter that PEFT and vLLM load."""
    best = best_point(history.points)
    weights = trainable(run.model)
    checkpoints.load_weights(checkpoints.folder_of(run.work, best.step), weights)
    if not hasattr(run.model, "peft_config"):  # a whole model, served as a GPU serves it
        run.model.to(base_dtype(run.device))
    run.model.save_pretrained(folder / ADAPTER, safe_serialization=True)
    tokenizer.save_pretrained(folder / ADAPTER)
    sizes = {"trainable": sum(p.numel() for p in weights.values()), "total": weights_in(run.model)}
    fit = run.fit.as_json() if run.fit else None
    result = {"history": history.as_json(), "best_step": best.step, "fit": fit} | sizes
    partial = folder / (RESULT + ".partial")
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.rename(folder / RESULT)
