"""Ground truth in the form in which the grader compares it: points, each with its equal spellings as `a|b`."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from typing import Any

from metier.evaluation.vocabulary import Vocabulary
from metier.text.words import content_words, stem

_SIMPLE_TYPE = re.compile(r"[A-Za-z_][\w.]*(\[[\w, ]+\])?")


def number_spellings(text: str) -> str:
    """`1048576|1,048,576`, `0.01`, `300.0|300`: how a number may be written."""
    plain = text.replace(",", "").replace("_", "")
    value = float(plain)
    forms = [plain]
    if value == int(value) and abs(value) < 1e15:
        forms += [str(int(value)), f"{int(value):,}"]
    return "|".join(dict.fromkeys([*forms, text]))


def is_number(text: str) -> bool:
    """True for the source text of an int or a float."""
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return text[-1].isdigit() or text[-1] == "."


def default_spellings(default: str) -> str:
    """How a default may be written; empty where it holds what the notation can't."""
    if is_number(default):
        return number_spellings(default)
    if default == "None":
        return "None|null"
    value = literal(default)
    if isinstance(value, str) and value != default:  # other source text comes back as it is
        return "" if "|" in value or not value.strip() else value
    if re.fullmatch(r"\w+\.\w+", default):  # an enumeration's member
        return f"{default}|{default.split('.')[1]}"
    return "" if "|" in default or len(default) > 40 else default


def literal(default: str) -> Any:
    """The value of a default's source text; the text itself where it is no literal."""
    try:
        return ast.literal_eval(default)
    except (ValueError, SyntaxError):
        return default


def type_points(annotation: str) -> tuple[str, ...]:
    """The members of a type, each a point; none where it is too involved to be asked for."""
    members = annotation.split(" | ")
    if not all(_SIMPLE_TYPE.fullmatch(m) for m in members) or len(members) > 3:
        return ()
    return tuple("None|null|optional" if m == "None" else _type_spellings(m) for m in members)


def _type_spellings(member: str) -> str:
    words = {"int": "int|integer", "str": "str|string", "bool": "bool|boolean", "float": "float|number"}
    container = re.fullmatch(r"(List|list|Dict|dict)\[(.+)\]", member)
    if container:
        kind = {"list": "list", "dict": "dict"}[container[1].lower()]
        return f"{member}|{kind}|" + ("dictionary" if kind == "dict" else f"{kind} of {container[2]}")
    return words.get(member, member)


def salient_points(sentence: str, corpus: Vocabulary, without: Collection[str], most: int = 3) -> tuple[str, ...]:
    """The words that an answer in other words would still hold: the rarest content words, in the sentence's order."""
    words = [w for w in content_words(sentence, without) if w.isalpha()]
    ranked = sorted(words, key=lambda w: (corpus.documents_with[stem(w)], words.index(w)))[:most]
    return tuple(w if stem(w) == w else f"{w}|{stem(w)}" for w in words if w in ranked)
