"""What an answer says, read strictly: its numbers, names and values, and whether it declines to answer.

Spelling is forgiven (case, marks, thousands separators, curly quotes), content is not: `5` does not stand in `50`, and
an answer that declines and then asserts something has not declined.
"""

from __future__ import annotations

import re
import unicodedata

_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d[\d_]*(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?(?!\w)(?!\.\d)",
    re.IGNORECASE,
)
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_LITERAL = re.compile(r"\b(none|null|true|false)\b")
_CONDITION = re.compile(
    r"\b(?:if|when|unless|whether|setting|set|pass|passing|be)\b[^.,;]*?\b(?:none|null|true|false)\b"
)
_QUOTED = re.compile(r"(?<!\w)[\"']([\w./:-]+)[\"'](?!\w)")
_NAME = re.compile(r"`([^`\s()]+)(?:\(\))?`|(?<![\w.`])([A-Za-z_]\w*(?:\.\w+)+|[A-Za-z]\w*_\w+)")
_TYPES = {"integer": "int", "string": "str", "boolean": "bool", "dictionary": "dict", "callable": "callable"} | {
    t: t
    for t in ("int", "float", "str", "bool", "list", "dict", "tuple", "bytes")  # "set" is a verb too
}

_CLAUSE = re.compile(
    r"[.!?;:](?=\s|$)|\n|,? (?:but|however|though|although|yet) |,? and (?=(?:it|its|the|by|so) )|\bhowever\b"
)
_CONDITIONAL = re.compile(r"\b(if|when|unless|where|whether|in case|that|which|any|for)\b")
# the source is silent: a refusal, whatever was asked
_SILENT = re.compile(
    r"\b(?:documentation|docs|docstring|documents?|passages?|context|sources?|i|we)\b[^?]{0,60}?"
    r"\b(?:does not|doesn't|do not|don't|did not|didn't|cannot|can't|could not|couldn't|am not|never)"
    r"(?: actually| explicitly| directly)? (?:say|state|mention|specify|tell|contain|provide|answer|cover|describe|document"
    r"|list|include|give|address|know|find|sure|able|have)\b"
    r"|^it (?:does not|doesn't) (?:say|state|mention|specify|tell)\b"
    r"|\bno (?:information|mention|documentation|answer|details?)\b"
)
_PASSIVE = re.compile(
    r"\b(?:(?:is|are|was|were) not|isn't|aren't|wasn't|not) (?:documented|mentioned|specified|stated|described|listed|given"
    r"|provided|covered|available|known|in the (?:documentation|passages?|context))\b"
)
# the thing that was asked about does not exist: right only where that is so
_ABSENT = re.compile(
    r"\b(?:no|not an?|not one of the|not a valid|not a known)(?: such)? (?:`?\w+`? )?"
    r"(?:such|parameter|argument|method|option|attribute|keyword|function|class|setting)s?\b"
    r"|\bno such\b|\b(?:does not|doesn't) (?:exist|have|take|accept|define)\b|\bunknown\b|\bundocumented\b"
)
_COURTESY = re.compile(
    r"\b(?:sorry|apologi[sz]e|apologies|unfortunately|please|let me know|consult|refer to|(?:check|see|ask|look) )"
)


def plain(text: str) -> str:
    """Without marks that carry no meaning: case, code marks, quotes, citation numbers, double spaces."""
    folded = unicodedata.normalize("NFKC", text).lower().replace("’", "'").replace("−", "-")
    folded = re.sub(r"\[\d{1,2}\](?=\s|[.,;]|$)", " ", folded)
    return re.sub(r"\s+", " ", re.sub(r"[`*\"“”]", " ", folded)).strip()


def as_number(text: str) -> float | None:
    """The number that a text is, None where it is none: `1e-3` is `0.001`, `1,000` is `1000.0`."""
    if not _NUMBER.fullmatch(text):
        return None
    return float(text.rstrip(".").replace(",", "").replace("_", ""))


def numbers(text: str) -> list[float]:
    """The numbers in a plain text, in order. Versions (2.60.0), days and parts of names are none."""
    found = (as_number(m) for m in _NUMBER.findall(_DATE.sub(" ", text)))
    return [n for n in found if n is not None]


def values(answer: str) -> set[str]:
    """The literals (None, True, False), quoted words and days that an answer asserts, in lower case.

    What stands in a condition ("if None, ...") is not asserted.
    """
    text = plain(answer)
    literals = {"none" if v == "null" else v for v in _LITERAL.findall(_CONDITION.sub(" ", text))}
    return literals | set(_DATE.findall(text)) | {q.lower() for q in _QUOTED.findall(answer)}


def names(answer: str) -> set[str]:
    """The code names in an answer, in lower case: marked, dotted or underscored. A call's arguments are left out."""
    text = re.sub(r"\([^()]*\)", "", answer)
    return {(marked or bare).lower() for marked, bare in _NAME.findall(text)}


def type_names(text: str) -> set[str]:
    """The built-in types that a text names, under their short names."""
    return {_TYPES[w] for w in re.findall(r"[a-z]+", text.lower()) if w in _TYPES}


def hedges(answer: str) -> bool:
    """Whether some part of an answer says that the documentation is silent."""
    return any(_silent(clause) for clause in _clauses(answer))


def abstains(answer: str, prompt: str, *, absence: bool) -> bool:
    """Whether an answer declines and asserts nothing beside that.

    `absence`: also accept "there is no such parameter", which is right where the question has no answer.
    """
    declined, asked = False, set(numbers(plain(prompt)))
    for clause in _clauses(answer):
        if _silent(clause) or (absence and _ABSENT.search(clause)):
            declined = True
            if set(numbers(clause)) - asked:
                return False
        elif len(clause.split()) >= 3 and not _COURTESY.search(clause):
            return False
    return declined


def _clauses(answer: str) -> list[str]:
    text = plain(answer.replace("\n", ". "))
    return [clause.strip() for clause in _CLAUSE.split(text) if clause and clause.strip()]


def _silent(clause: str) -> bool:
    if _SILENT.search(clause):
        return True
    passive = _PASSIVE.search(clause)
    return passive is not None and not _CONDITIONAL.search(clause[: passive.start()])
