"""What makes two texts of one wording speak of different things: names as code writes them, numbers, quotations, denials.

`What is the default of a in f?` and `What is the default of b in f?` share nearly all words and are two questions. All
tokens come in lower case, so that a name that was typed carelessly is still the same name.
"""

from __future__ import annotations

import re
from decimal import Decimal

_CODE = re.compile(r"`([^`\n]{1,200})`")
_NAME = re.compile(
    r"(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+"  # ray.data.Dataset
    r"|\b\w*[A-Za-z]\w*_\w+|\b_\w*[A-Za-z]\w*"  # batch_size, _private
    r"|\b\w*[a-z][A-Z]\w*"  # DataConfig
    r"|\b[A-Za-z]+\d\w*"  # float32, W4A16
)
_ABBREVIATIONS = frozenset({"e.g", "i.e", "a.m", "p.m", "a.k.a"})
_DAY = r"\d{4}-\d{2}-\d{2}(?!\d)"
_VERSION = r"\d+(?:\.\d+){2,}"
_DECIMAL = r"(?:(?<![\w)\]])[-+])?\d+(?:[,_]\d{3})*(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?![\w.]))?"
_NUMBER = re.compile(rf"(?<![\w.])(?:{_DAY}|{_VERSION}|{_DECIMAL})")
_WRITTEN = {word: str(i) for i, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve".split())}  # fmt: skip  # noqa: SIM905
_QUOTED = re.compile(r"[\"“]([^\"“”\n]{1,120})[\"”]")
QUOTED_WORDS = 8  # what is longer is a passage that is quoted, and no name
_DENIAL = re.compile(r"\b(?:not|no|never|cannot|without|neither|nor)\b|n[’']t\b", re.I)
_LITERAL = re.compile(r"\b(?:true|false|none|null)\b", re.I)


def identifiers(text: str) -> frozenset[str]:
    """Names in code, dotted, underscored and CamelCase words, and numbers."""
    spans = (span.strip().removesuffix("()") for span in _CODE.findall(text))
    names = {name.lower().strip(".,:") for name in (*spans, *_NAME.findall(text))} - _ABBREVIATIONS
    plain = {next(iter(numbers(name)), name) if _NUMBER.fullmatch(name) else name for name in names if name}
    return frozenset(plain | numbers(text))


def numbers(text: str) -> frozenset[str]:
    """The numbers, days and versions, each in one spelling: `1_000`, `1,000` and `1000.0` are `1000`."""
    return frozenset(_spelt(found) for found in _NUMBER.findall(text))


def written_numbers(text: str) -> frozenset[str]:
    """Numbers that are written as words, up to twelve, in digits."""
    return frozenset(_WRITTEN[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _WRITTEN)


def _spelt(number: str) -> str:
    if re.fullmatch(_DAY, number) or number.count(".") > 1:
        return number
    value = Decimal(number.replace(",", "").replace("_", ""))
    return f"{value.normalize():f}" if value else "0"


def quotations(text: str) -> frozenset[str]:
    """Short quoted words: titles, keys, values."""
    found = (quoted.strip().lower() for quoted in _QUOTED.findall(text))
    return frozenset(quoted for quoted in found if quoted and len(quoted.split()) <= QUOTED_WORDS)


def denies(text: str) -> bool:
    """Whether a negation stands in the text."""
    return bool(_DENIAL.search(text))


def literals(text: str) -> frozenset[str]:
    """The constants true, false and none; JSON's null is none."""
    return frozenset(word.lower().replace("null", "none") for word in _LITERAL.findall(text))


def distinguishing(text: str) -> frozenset[str]:
    """Everything above: texts that differ in it say different things, however alike they are worded."""
    denial = {"not"} if denies(text) else set()
    return identifiers(text) | quotations(text) | literals(text) | denial
