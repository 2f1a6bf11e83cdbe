"""The exam that people write: a YAML list of questions with their reference answers.

```yaml
- question: By default, how many rows does a batch of ray.data.Dataset.iter_batches have?
  answer: A batch has 256 rows.
  points: ["256"]              # what a complete answer must hold; "a|b" is held by either
  slice: numeric               # numeric, factual, usage, format, unanswerable
  uri: ray.data.Dataset.iter_batches    # the document that holds the answer (optional)
```
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from metier.config import StageConfig
from metier.errors import InputError
from metier.records import Question, Slice
from metier.strict_yaml import yaml_value


class WrittenQuestion(StageConfig):
    """One entry of the file."""

    question: str = Field(min_length=8, max_length=2000)
    """The prompt, as a user would write it."""
    answer: str = Field("", max_length=4000)
    """The reference answer; may be left out when the question is unanswerable."""
    points: tuple[str, ...] = ()
    """What a complete answer must hold; `a|b` is held by either. Empty only when the question is unanswerable."""
    slice: Slice
    """The slice in which it is counted."""
    format: Literal["text", "value", "json"] = "text"
    """The form that the answer must have."""
    json_keys: tuple[str, ...] = ()
    """The keys of the JSON object, when the format is json."""
    uri: str = ""
    """The document that holds the answer."""

    @model_validator(mode="after")
    def _whole(self) -> WrittenQuestion:
        if self.slice == "unanswerable":
            if self.points:
                raise ValueError("an unanswerable question has no points")
        elif not self.points or not self.answer:
            raise ValueError("an answer and at least one point are needed")
        if any(not half.strip() for point in self.points for half in point.split("|")):
            raise ValueError("a point, or one side of its |, is empty")
        if (self.format == "json") != bool(self.json_keys):
            raise ValueError("json_keys go with format json")
        if self.format == "json" and set(_json_object(self.answer)) != set(self.json_keys):
            raise ValueError("with format json the answer is a JSON object with exactly the keys of json_keys")
        return self

    def record(self, abstention: str) -> Question:
        """The exam question; the reference of an unanswerable one is the sentence that says so."""
        return Question(
            prompt=self.question,
            reference=abstention if self.slice == "unanswerable" else self.answer,
            points=self.points,
            slice=self.slice,
            task="written",
            split="final",
            format=self.format,
            json_keys=self.json_keys,
            answerable=self.slice != "unanswerable",
            written_by="hand",
            uri=self.uri,
        )


def _json_object(text: str) -> dict[str, Any]:
    """The object that a text is; an empty one where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_exam(path: Path, abstention: str) -> list[Question]:
    """The questions of a file, all in the final half. Raises InputError with the entry's number and what is wrong."""
    entries = _entries(path)
    found: dict[str, int] = {}
    questions = []
    for number, entry in enumerate(entries, 1):
        try:
            written = WrittenQuestion.model_validate(entry)
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(str(p) for p in fault["loc"])
            raise InputError(f"{path}, entry {number}{': ' + place if place else ''}: {fault['msg']}") from None
        first = found.setdefault(" ".join(written.question.lower().split()), number)
        if first != number:
            raise InputError(f"{path}, entry {number}: the same question as entry {first}")
        questions.append(written.record(abstention))
    return questions


def _entries(path: Path) -> list[Any]:
    try:
        entries = yaml_value(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such exam file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: not a readable file ({error.strerror})") from None
    except yaml.YAMLError as error:
        mark, said = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
        raise InputError(f"{path}{f', line {mark.line + 1}' if mark else ''}: not YAML ({said})") from None
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: an exam is a list of questions (examples/exams shows the form)")
    return entries
