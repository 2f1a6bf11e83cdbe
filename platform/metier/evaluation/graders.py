"""Grades one answer against its question: correctness, completeness, format, and one score from the three.

The graders are strict where a lenient one would flatter: `50` does not hold `5`, naming several values is not knowing
the one, and a refusal earns nothing where the documents hold the answer. They are lenient in spelling alone: case, marks,
thousands separators, and the endings of words (`metier.evaluation.reading`).

- **Completeness** is the share of the question's points that the answer holds.
- **Correctness** of a value, a name or a list of them is that share too. A description is right (1) from two thirds of
  its telling words on, half right from one half, else wrong. Contradicting values beside the right one halve it.
- **Format** is the form that was asked for: brief text, the bare value, or bare JSON with the right keys.
- A question that the documents do not answer is answered right by saying so, and asserting nothing.
- **Score** = 0.6 correctness + 0.3 completeness + 0.1 format, and 0 where nothing is correct.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from metier.evaluation.reading import abstains, as_number, hedges, names, numbers, plain, type_names, values
from metier.records import Question
from metier.text.words import stem

CORRECTNESS, COMPLETENESS, FORMAT = 0.6, 0.3, 0.1  # weights of the score
MAX_WORDS = 80  # a longer answer is rambling: it loses its format mark
CONTRADICTING = 0.5  # what is left of correctness when other values stand beside the right one
RIGHT, HALF_RIGHT = 2 / 3, 1 / 2  # shares of a description's telling words
OTHER_NAMES = 2  # names beside the right one that make an answer a list of guesses; one may be an explanation
MISPLACED = 0.5  # of the format mark, for JSON that stands in a fence or among words
VALUE_TASKS = ("default", "type", "date")

_WORD = re.compile(r"[^\W_]+")
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)


@dataclass(frozen=True)
class Scores:
    """The grade of one answer, each in [0, 1]; `score` is what the exam counts."""

    correctness: float
    completeness: float
    format: float
    score: float


NOTHING = Scores(0.0, 0.0, 0.0, 0.0)


def grade(question: Question, answer: str) -> Scores:
    """The grade of `answer`. Pure: the same question and answer give the same grade."""
    declined = abstains(answer, question.prompt, absence=not question.answerable)
    if not question.answerable:
        return _scored(1.0, 1.0, _brevity(answer)) if declined else NOTHING
    if declined or not answer.strip():
        return NOTHING
    if question.format == "json":
        return _grade_json(question, answer)
    held = share_held(question.points, answer)
    correct = held if _exact(question) else _described(held)
    if _contradicts(question, answer) or hedges(answer):
        correct *= CONTRADICTING
    form = _brevity(answer) if question.format == "text" else float(_is_bare(question, answer))
    return _scored(correct, held, form)


def _scored(correct: float, complete: float, form: float) -> Scores:
    score = CORRECTNESS * correct + COMPLETENESS * complete + FORMAT * form if correct > 0 else 0.0
    return Scores(correct, complete, form, round(score, 6))


def _exact(question: Question) -> bool:
    """Whether the points are values or names, which are right or wrong, and not words of a description."""
    return (
        question.slice in ("numeric", "usage")
        or question.format == "value"
        or question.task in VALUE_TASKS
        or len(question.points) == 1
    )


def _described(held: float) -> float:
    return 1.0 if held >= RIGHT else 0.5 if held >= HALF_RIGHT else 0.0


def _brevity(answer: str) -> float:
    return float(0 < len(answer.split()) <= MAX_WORDS)


def _is_bare(question: Question, answer: str) -> bool:
    given = answer.strip().strip("`'\". ")
    return any(_equal(given, spelling) for point in question.points for spelling in point.split("|"))


def share_held(points: Sequence[str], answer: str) -> float:
    """The share of points of which one spelling stands in the answer."""
    if not points:
        return 0.0
    text = plain(answer)
    stems = [stem(w) for w in _WORD.findall(text)]
    return sum(any(_holds(answer, text, stems, s) for s in point.split("|")) for point in points) / len(points)


def _holds(answer: str, text: str, stems: Sequence[str], spelling: str) -> bool:
    wanted = plain(spelling)
    if not wanted:  # marks alone, such as "*": as it is, in quotes
        return any(f"{q}{spelling}{q}" in answer for q in "'\"`")
    number = as_number(wanted)
    if number is not None:
        return number in numbers(text)
    if re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", text):
        return True
    if not re.fullmatch(r"[a-z ]+", wanted):
        return False  # an identifier is written as it is or not at all
    parts = [stem(w) for w in _WORD.findall(wanted)]
    return any(list(stems[i : i + len(parts)]) == parts for i in range(len(stems) - len(parts) + 1))


def _contradicts(question: Question, answer: str) -> bool:
    """Whether the answer names values of the asked kind that neither question nor reference holds: guesses."""
    known = " ".join([question.prompt, question.reference, *(s for p in question.points for s in p.split("|"))])
    if question.slice == "usage":
        strangers = [n for n in names(answer) if n not in known.lower()]
        return len(strangers) >= OTHER_NAMES
    if question.task == "type":
        return bool(type_names(plain(answer)) - type_names(known))
    if not _exact(question):
        return False
    others = set(numbers(plain(answer))) - set(numbers(plain(known)))
    told = values(known) | set(_WORD.findall(known.lower()))
    strange = {v for v in values(answer) if v not in told and v not in known.lower()}
    return bool(strange) or len(others) >= (1 if question.slice == "numeric" else 2)


def _grade_json(question: Question, answer: str) -> Scores:
    """Parsed, with the keys that were asked for, and the right values."""
    found, form = _parsed(answer)
    if not isinstance(found, dict):
        return NOTHING
    wanted = json.loads(question.reference)
    keys = set(question.json_keys)
    if set(found) != keys:
        form *= len(keys & set(found)) / len(keys | set(found))
    shares = [_value_share(found[k], wanted.get(k), question) if k in found else 0.0 for k in question.json_keys]
    correct = min(s if s in (0.0, 1.0) else _described(s) for s in shares)
    return _scored(correct, sum(shares) / len(shares), form)


def _parsed(answer: str) -> tuple[Any, float]:
    for text, form in [(answer.strip(), 1.0), *((inner, MISPLACED) for inner in _inside(answer))]:
        try:
            return json.loads(text), form
        except (ValueError, RecursionError):
            continue
    return None, 0.0


def _inside(answer: str) -> Iterator[str]:
    fenced = _FENCE.search(answer)
    if fenced:
        yield fenced[1]
    start, end = answer.find("{"), answer.rfind("}")
    if 0 <= start < end:
        yield answer[start : end + 1]


def _value_share(given: Any, wanted: Any, question: Question) -> float:
    """How far a JSON value is right: 1 when equal or equally spelled; text also by the points that it holds."""
    if isinstance(wanted, list):
        same = isinstance(given, list) and sorted(map(_spelled, given)) == sorted(map(_spelled, wanted))
        return float(same)
    if _equal(_spelled(given), _spelled(wanted)):
        return 1.0
    own = [p for p in question.points if share_held((p,), _spelled(wanted)) == 1.0]
    if len(own) == 1:
        return float(any(_equal(_spelled(given), s) for s in own[0].split("|")))
    if not isinstance(given, str):
        return 0.0
    if question.task == "json_type" and type_names(given) - type_names(" ".join([_spelled(wanted), *own])):
        return 0.0
    held = share_held(own, given)
    return held if question.task == "json_purpose" else float(held == 1.0)


def _spelled(value: Any) -> str:
    """A JSON value as plain text; `"'mean'"` and `"mean"` are one value, and so are null and `"None"`."""
    if isinstance(value, str):
        try:
            inner = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return plain(value)
        return plain(inner if isinstance(inner, str) else value)
    return plain(str(value))


def _equal(a: str, b: str) -> bool:
    x, y = plain(a), plain(b)
    first, second = as_number(x), as_number(y)
    return x == y if first is None or second is None else first == second
