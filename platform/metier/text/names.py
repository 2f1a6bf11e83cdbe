"""Names of people without a model: by lists of given and family names, and by the words that stand before a name.

Names have no form, so this finds the common ones and those that are announced ("Mr", "Dear", "patient", "signed by"); the
benchmark prints how many that is. Who needs more names a model (`name_models`). A lone given name is left alone: too many
are words.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from importlib import resources

from metier.text.forms import ALONE, NAMED, Found

KIND = "PERSON"
LISTS = "names.txt"
_PART = r"[^\W\d_a-z](?:['’]?[^\W\d_]){0,20}"  # a capital first, and no digit
_WORD = rf"{_PART}(?:-{_PART})?(?!\w)"
_INITIAL = r"[^\W\d_a-z]\."
_PARTICLE = r"(?:d[aeiou]s?|del|della|la|le|van|von|der|den|ten|bin|ibn|al|el)"
_NAME = rf"(?P<value>(?:(?:{_WORD}|{_INITIAL})[ ](?:{_PARTICLE}[ ]){{0,2}}){{0,3}}{_WORD})"
_TITLE = re.compile(
    rf"(?<!\w)(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Madam|Herr|Frau|Monsieur|Mme|Señora?)\b\.?[ ]{_NAME}"
)
_GREETED = re.compile(rf"(?<!\w)(?:Dear|Hello|Hi|Hey)[ ]{_NAME}(?=[ ]?[,!:\n]|$)")
_LABELLED = re.compile(
    r"(?i:(?<![^\W_])(?:signed(?:[ -]off)?(?:[ -]by)?|(?:reported|approved|reviewed|written|prepared|checked)(?:[ ]by)?|patient"
    r"|customer|client|employee|author|applicant|assignee|attn|manager|nurse|doctor|regards|sincerely|yours|(?P<weak>name|owner|contact)))"
    rf"[\"'`]?[ ]?[,:=|]?\s{{0,3}}[\"'`]?{_NAME}"
)
_RUN = re.compile(rf"(?<![\w.@/\\#-]){_NAME}(?![\w(\[=/\\]|\.\w)")


@functools.cache
def lists() -> dict[str, frozenset[str]]:
    """Given names, ambiguous ones and family names, from the data file beside this one."""
    text = resources.files("metier.text").joinpath(LISTS).read_text(encoding="utf-8")
    parts = re.split(r"\[(\w+)\]", re.sub(r"(?m)^#.*$", "", text))
    return {name: frozenset(words.split()) for name, words in zip(parts[1::2], parts[2::2], strict=True)}


def _is(kind: str, word: str) -> bool:
    return any(part in lists()[kind] for part in (word, *word.split("-")))


def _listed(words: list[str]) -> bool:
    return any(_is("given", w) or _is("family", w) for w in words)


def people(text: str) -> Iterator[Found]:
    """All names in `text` that are announced or listed. They may overlap."""
    for match in _TITLE.finditer(text):
        yield Found(KIND, *match.span("value"), NAMED)
    for match in _GREETED.finditer(text):
        if _listed(match["value"].split()):
            yield Found(KIND, *match.span("value"), NAMED)
    for match in _LABELLED.finditer(text):
        words = match["value"].split()
        if _listed(words) and (len(words) > 1 or not match["weak"]):
            yield Found(KIND, *match.span("value"), NAMED)
    for match in _RUN.finditer(text):
        yield from _in_run(match["value"], match.start("value"))


def _in_run(run: str, start: int) -> Iterator[Found]:
    """Names in a run of capitalised words: a given name, initials or particles, a family name, both of the lists."""
    words = [(m[0], m.start(), m.end()) for m in re.finditer(r"\S+", run)]
    for at, (first, begin, _) in enumerate(words[:-1]):
        rest = words[at + 1 :]
        skipped = 0
        while skipped < len(rest) - 1 and (
            rest[skipped][0].endswith(".") or re.fullmatch(_PARTICLE, rest[skipped][0], re.I)
        ):
            skipped += 1
        last, _, end = rest[skipped]
        given = _is("given", first) or _is("ambiguous", first) or re.fullmatch(_INITIAL, first)
        if given and _is("family", last):
            yield Found(KIND, start + begin, start + end, ALONE)
