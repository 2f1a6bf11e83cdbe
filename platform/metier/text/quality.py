"""What is wrong with a text by its form alone: refusal, repetition, broken encoding, no answer to what was asked."""

from __future__ import annotations

import json
import re
from collections import Counter

from metier.text.grounding import unfenced
from metier.text.identifiers import numbers, written_numbers
from metier.text.words import wording

_REFUSAL = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language)(?: (?:language )?(?:model|assistant))?\b"
    r"|\bI(?:['’]m| am) (?:just )?an? (?:ai|language model)\b"
    r"|\bI(?:['’]m| am) (?:sorry|unable|not able)\b.{0,30}\b(?:assist|help|answer|fulfil|comply|provide)"
    r"|\bI (?:can(?:no|['’])t|cannot|can not) (?:assist|help|comply|fulfil)",
    re.I,
)
# U+FFFD, UTF-8 that was read as Windows-1252 or Latin-1 ("Ã©", "â€™"), and control characters.
_BROKEN = re.compile("\ufffd|[ÃÂ][\u0080-\u00bf]|â€[\u0080-\u009f\u00a2\u2018-\u2122]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# A demand on the form, not a question about JSON files.
_JSON_ASKED = re.compile(r"(?:^|[.?!:;]\s+)(?:please )?(?:answer|reply|respond)\b[^.?!]*\bJSON\b", re.I)
_COUNT_ASKED = re.compile(r"^\W*(?:how many|which number|what number)\b", re.I)
_AMOUNT = re.compile(
    r"\b(?:all|any|no|none|once|twice|half|every|each|unlimited|infinite\w*|never|always|as many|number|per|same"
    r"|several|few|dozens?|hundreds?|thousands?|millions?|billions?|depends?)\b",
    re.I,
)
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
REPEATED = 4  # the same run of words so often is a loop
RUN_WORDS = 3
REPEATED_SHARE = 0.3  # of all runs; a long answer may name one thing often


def refusal(text: str) -> str:
    """The words of a model's refusal or self-description; empty where there are none."""
    found = _REFUSAL.search(text)
    return found[0] if found else ""


def broken_encoding(text: str) -> str:
    """The first sign of a wrong decoding or of control characters; empty where there is none."""
    found = _BROKEN.search(text)
    return ascii(found[0]) if found else ""


def repetition(text: str) -> str:
    """A run of three words that comes four times or more and fills much of the text; empty where there is none."""
    words = wording(text)
    runs = Counter(" ".join(words[i : i + RUN_WORDS]) for i in range(len(words) - RUN_WORDS + 1))
    if not runs:
        return ""
    run, times = runs.most_common(1)[0]
    loops = times >= REPEATED and times * RUN_WORDS >= REPEATED_SHARE * len(words)
    return f"{run!r} {times} times" if loops else ""


def repeated_lines(text: str) -> str:
    """The line that comes again most often, where lines that came before hold more than 30 % of the words (Rae et al. 2021,
    Scaling Language Models, table A1); empty where they don't. Code may repeat itself."""
    lines = [" ".join(found) for line in _FENCED.sub("", text).split("\n") if len(found := wording(line)) >= RUN_WORDS]
    times = Counter(lines)
    words = sum(len(line.split()) for line in lines)
    again = sum((count - 1) * len(line.split()) for line, count in times.items())
    if not words or again <= REPEATED_SHARE * words:
        return ""
    line, count = times.most_common(1)[0]
    return f"{line[:80]!r} {count} times"


def unanswered(question: str, answer: str) -> str:
    """How the answer misses what was asked: it repeats the question, asks back, or lacks the JSON or number asked for."""
    asked, said = wording(question), wording(answer)
    if said and said == asked:
        return "the answer repeats the question"
    if answer.rstrip().endswith("?") and not re.search(r"[.!:`]\s", answer):
        return "the answer is a question"
    if _JSON_ASKED.search(question) and not _is_json(answer):
        return "JSON was asked for and the answer is none"
    counted = numbers(answer) or written_numbers(answer) or _AMOUNT.search(answer)
    if _COUNT_ASKED.search(question) and not counted:
        return "a number was asked for and the answer has none"
    return ""


def _is_json(answer: str) -> bool:
    """Whether the answer is a JSON object or list, a fence around it or not."""
    try:
        return isinstance(json.loads(unfenced(answer)), dict | list)
    except ValueError:
        return False
