"""Grades one answer against its question: correctness, completeness, format, and one score from the three.

The graders are strict where a lenient one would flatter: `50` does not hold `5`, naming several values is not knowing
the one, and a refusal earns nothing where the documents hold the answer. They are lenient in spelling alone: case, marks,
thousands separators, and the endings of words.
"""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from metier.records import Question
from metier.text.words import stem

CORRECTNESS, COMPLETENESS, FORMAT = 0.6, 0.3, 0.1  # weights of the score
MAX_WORDS = 80  # a longer answer is rambling: it loses its format mark
CONTRADICTING = 0.5  # what is left of correctness when other values stand beside the right one

_ABSTENTION = re.compile(
    r"\b(does not|doesn't|do not|don't|did not|cannot|can't|could not) (say|state|mention|specify|know|contain|find|tell"
    r"|provide|answer)\b|\bnot (documented|mentioned|specified|stated|listed|given|in the (documentation|passages))\b"
    r"|\bno (such|information|mention)\b|\bthere is no\b|\bhas no (parameter|argument|method|such)\b"
)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d[\d_,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w])", re.IGNORECASE)
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Scores:
    """The grade of one answer, each in [0, 1]; `score` is what the exam counts."""

    correctness: float
    completeness: float
    format: float
    score: float


def grade(question: Question, answer: str) -> Scores:
    """The grade of `answer`. Pure: the same question and answer give the same grade."""
    text = _plain(answer)
    if not question.answerable:
        return _scored(1.0, 1.0, _brevity(answer)) if _abstains(text, question) else Scores(0.0, 0.0, 0.0, 0.0)
    if not text.strip() or _abstains(text, question):
        return Scores(0.0, 0.0, 0.0, 0.0)
    if question.format == "json":
        return _grade_json(question, answer)
    held = _share_held(question.points, text)
    # Names and numbers are right or wrong; a description is right from half of its telling words on.
    exact = question.slice == "numeric" or question.format == "value" or len(question.points) == 1
    correct = float(held == 1.0) if exact else min(1.0, held * 2) if held >= 0.5 else held
    if exact and question.slice == "numeric" and _other_numbers(question, text):
        correct *= CONTRADICTING
    form = _brevity(answer) if question.format == "text" else float(_is_bare(question, answer))
    return _scored(correct, held, form)


def _scored(correct: float, complete: float, form: float) -> Scores:
    score = CORRECTNESS * correct + COMPLETENESS * complete + FORMAT * form if correct > 0 else 0.0
    return Scores(correct, complete, form, round(score, 6))


def _plain(text: str) -> str:
    """Without marks that carry no meaning: case, code quotes, curly quotes, citation numbers, double spaces."""
    folded = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    folded = re.sub(r"\[\d{1,2}\](?=\s|[.,;]|$)", " ", folded)
    return re.sub(r"\s+", " ", re.sub(r"[`*\"“”]", " ", folded)).strip()


def _abstains(text: str, question: Question) -> bool:
    """Says that it does not know, and then asserts nothing: no value for a parameter, no numbers of its own."""
    found = _ABSTENTION.search(text)
    if not found:
        return False
    asked = set(_NUMBER.findall(question.prompt.lower()))
    return len(text.split()) <= 40 and all(n in asked for n in _NUMBER.findall(text)) and " default is " not in text


def _brevity(answer: str) -> float:
    return float(0 < len(answer.split()) <= MAX_WORDS)


def _is_bare(question: Question, answer: str) -> bool:
    return any(_equal(answer.strip().strip("`'\". "), spelling) for p in question.points for spelling in p.split("|"))


def _share_held(points: tuple[str, ...], text: str) -> float:
    """The share of points of which one spelling stands in the text."""
    if not points:
        return 0.0
    words = [stem(w) for w in _WORD.findall(text)]
    return sum(any(_holds(text, words, s) for s in point.split("|")) for point in points) / len(points)


def _holds(text: str, words: list[str], spelling: str) -> bool:
    wanted = _plain(spelling)
    number = _as_number(wanted)
    if number is not None:
        return any(_as_number(found) == number for found in _NUMBER.findall(text))
    if re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", text):
        return True
    parts = [stem(w) for w in _WORD.findall(wanted)]
    if not parts or not re.fullmatch(r"[a-z ]+", wanted):
        return False  # an identifier is written as it is or not at all
    return any(words[i : i + len(parts)] == parts for i in range(len(words) - len(parts) + 1))


def _as_number(text: str) -> float | None:
    try:
        return float(text.rstrip(".,").replace(",", "").replace("_", ""))
    except ValueError:
        return None


def _other_numbers(question: Question, text: str) -> bool:
    """Whether the answer names numbers that neither the reference nor the question holds."""
    known = {_as_number(n) for n in _NUMBER.findall(_plain(f"{question.reference} {question.prompt}"))}
    known |= {_as_number(_plain(s)) for p in question.points for s in p.split("|")}
    return any(_as_number(n) not in known for n in _NUMBER.findall(text))


def _grade_json(question: Question, answer: str) -> Scores:
    """Parsed, with the keys that were asked for, and the right values. A fenced object loses half of its format mark."""
    found, form = _parsed(answer)
    if not isinstance(found, dict):
        return Scores(0.0, 0.0, 0.0, 0.0)
    wanted = json.loads(question.reference)
    keys = set(question.json_keys)
    if set(found) != keys:
        form *= len(keys & set(found)) / len(keys | set(found))
    right = [key for key in question.json_keys if key in found and _matches(found[key], wanted.get(key), question)]
    return _scored(float(len(right) == len(keys)), len(right) / len(keys), form)


def _parsed(answer: str) -> tuple[Any, float]:
    text = answer.strip()
    try:
        return json.loads(text), 1.0
    except ValueError:
        pass
    for inner in _candidates(text):
        try:
            return json.loads(inner), 0.5
        except ValueError:
            continue
    return None, 0.0


def _candidates(text: str) -> Iterator[str]:
    fenced = _FENCE.search(text)
    if fenced:
        yield fenced[1]
    start, end = text.find("{"), text.rfind("}")
    if 0 <= start < end:
        yield text[start : end + 1]


def _matches(given: Any, wanted: Any, question: Question) -> bool:
    """Whether a JSON value is right: equal as a value, or spelled as one of the question's points allows."""
    if isinstance(wanted, list):
        return isinstance(given, list) and {_folded(g) for g in given} == {_folded(w) for w in wanted}
    if _equal(_folded(given), _folded(wanted)):
        return True
    spellings = [p.split("|") for p in question.points]
    group = next((s for s in spellings if any(_equal(_folded(wanted), x) for x in s)), [])
    return any(_equal(_folded(given), x) for x in group)


def _folded(value: Any) -> str:
    if isinstance(value, str):
        try:  # "'mean'" and "mean" are one value
            inner = ast.literal_eval(value)
            value = inner if isinstance(inner, str) else value
        except (ValueError, SyntaxError):
            pass
        return str(value)
    return "None" if value is None else str(value)


def _equal(a: str, b: str) -> bool:
    x, y = _plain(a), _plain(b)
    if x == y:
        return True
    first, second = _as_number(x), _as_number(y)
    return first is not None and first == second
