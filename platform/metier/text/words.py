"""The words that carry a sentence's meaning, and a light stem that makes their forms equal."""

from __future__ import annotations

import re
from collections.abc import Collection

_WORD = re.compile(r"[A-Za-z][A-Za-z]+")
_STOP = frozenset(
    """a about above after all also an and any are as at based be because been before being below between both but by
    can could did do does doing down during each either etc for from further get given gets had has have having he her
    here how if in into is it its itself just like may might more most must need needs no nor not of off on once one
    only onto or other our out over own per same set sets she should so some such than that the their them then there
    these they this those through to too under until up upon use used uses using very via was we were what when where
    whether which while who whom why will with within without would you your class function method object value values
    return returns returned parameter parameters argument arguments default none true false optional whose note new
    """.split()  # noqa: SIM905 (a list of words is read as text)
)
_SUFFIXES = ("izations", "ization", "ations", "ation", "ingly", "ings", "ing", "ied", "ies", "ers", "er", "ions", "ion",
             "ed", "es", "ly", "s", "e")  # fmt: skip


def stem(word: str) -> str:
    """The word in lower case without its ending: `batches` and `batch` are one. A rule of thumb, not a dictionary."""
    text = word.lower()
    for suffix in _SUFFIXES:
        if text.endswith(suffix) and len(text) - len(suffix) >= 4 and not text.endswith("ss"):
            return text[: -len(suffix)]
    return text


def name_words(name: str) -> set[str]:
    """The stems of an identifier's parts: `read_csv` and `ReadCsv` hold `read` and `csv`."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return {stem(w) for w in _WORD.findall(parts.replace("_", " "))}


def content_words(text: str, without: Collection[str] = (), shortest: int = 4) -> list[str]:
    """Words of at least `shortest` letters that mean something, in order, once each; `without` holds stems to leave out."""
    found: dict[str, str] = {}
    for word in _WORD.findall(text):
        key = stem(word)
        if len(word) >= shortest and word.lower() not in _STOP and key not in without:
            found.setdefault(key, word.lower())
    return list(found.values())


def wording(text: str) -> list[str]:
    """The words and numbers of a text in lower case, without marks: what two copies share whatever their layout."""
    return re.findall(r"\w+", text.lower())
