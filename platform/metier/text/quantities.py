"""Numbers with their units, days and versions in a sentence, each in one spelling, and whether two sets of them can both hold.

5 kg and 5000 g are one quantity, 3 March 2025 and 2025-03-03 one day. What can't be compared for sure (30 days and one month,
a gigabyte of 1000 or of 1024 megabytes) counts as equal: better a contradiction unseen than one that is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metier.text.units import CALENDAR_SLACK, DEGREES, MONTH, SLACK, UNITS, celsius, unit
from metier.text.words import stem

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_MONTH = "|".join(rf"{month}|{month[:3]}\b\.?" for month in _MONTHS)
_DATE = re.compile(
    rf"(?P<iso>\b\d{{4}}-\d{{2}}-\d{{2}})(?!\d)"
    rf"|\b(?P<d1>\d{{1,2}})(?:st|nd|rd|th|\.)? (?:of )?(?P<m1>{_MONTH}),? (?P<y1>\d{{4}})\b"
    rf"|\b(?P<m2>{_MONTH}) (?P<d2>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y2>\d{{4}})\b"
    rf"|\b(?P<m3>{_MONTH}) (?P<y3>\d{{4}})\b",
    re.I,
)
_WRITTEN = {word: i for i, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve".split())}  # fmt: skip  # noqa: SIM905
_WRITTEN |= {"fifteen": 15, "twenty": 20, "thirty": 30, "sixty": 60, "ninety": 90, "once": 1, "twice": 2}
_NUMBER = r"(?:(?<![\w)\]-])[-+−])?(?<![\w.])\d+(?:[,_]\d{3})*(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?!\w))?"
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
_VERSION = re.compile(
    r"\b(?:(?:version|release|edition|revision|firmware|v)\.? ?(?:number )?|(?-i:(?!EUR|USD|GBP|CHF|JPY)[A-Z]\w+ )(?=\d+\.\d))"
    rf"(?P<v>\d+(?:\.\d+)*)(?!\.?\d)(?! ?(?:{'|'.join(map(re.escape, UNITS))})\b)"
    r"|(?<![\w.])(?P<bare>\d+(?:\.\d+){2,})(?!\w)",
    re.I,
)
_AMOUNT = re.compile(
    rf"(?P<before>[€$£¥]|\b(?:EUR|USD|GBP|CHF|JPY)) ?(?P<n1>{_NUMBER})(?: (?P<s1>thousand|million|billion))?"
    rf"|(?P<n2>{_NUMBER}|\b(?:{'|'.join(_WRITTEN)})\b)[ -]?(?P<s2>thousand|million|billion)?\b ?"
    rf"(?P<unit>per cent|degrees? (?:celsius|fahrenheit)|°[cf]|[€$£¥%]|[a-zµ]+)?",
    re.I,
)
# Words that may follow a number and count nothing.
_LOOSE = frozenset(
    """
    time piece unit item of in and or for at by on to from is are the a per each as with if when after before until
    """.split()  # noqa: SIM905
) | {""}
_THINGS = frozenset({"time", "piece", "unit", "item"})


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value in the base unit of its dimension; of days and versions the text itself."""

    dimension: str  # time, calendar, mass, eur, date, version, ...; `count:officer`; `number` where nothing tells
    value: float | str
    written: str

    def comparable(self, other: Quantity) -> bool:
        """Whether both measure the same; a bare number may be any count or version."""
        if self.dimension == other.dimension or {self.dimension, other.dimension} == {"time", "calendar"}:
            return True
        bare = {"number"} & {self.dimension, other.dimension}
        return bool(bare) and all(q.dimension in ("number", "version") or _counts(q) for q in (self, other))

    def equals(self, other: Quantity) -> bool:
        """Whether two comparable ones are the same, or may be."""
        if "version" in (self.dimension, other.dimension):
            return _version(self) == _version(other)
        if isinstance(self.value, str) or isinstance(other.value, str):  # days: one may lack the day
            mine, theirs = str(self.value), str(other.value)
            return mine.startswith(theirs) or theirs.startswith(mine)
        a, b, slack = self.value, other.value, SLACK.get(self.dimension, 1e-6)
        if self.dimension == "temperature":
            return abs(a - b) <= DEGREES
        if self.dimension != other.dimension and "calendar" in (self.dimension, other.dimension):
            slack = CALENDAR_SLACK
            a, b = (q * (MONTH if d == "calendar" else 1.0) for q, d in ((a, self.dimension), (b, other.dimension)))
        return abs(a - b) <= slack * max(abs(a), abs(b))


def _counts(quantity: Quantity) -> bool:
    return quantity.dimension.startswith("count:")


def _version(quantity: Quantity) -> str:
    text = str(quantity.value) if isinstance(quantity.value, str) else quantity.written
    return re.sub(r"(\.0)+$", "", text)


def quantities(text: str) -> list[Quantity]:
    """What a sentence measures, in order; days and versions first."""
    return split_off(text)[0]


def split_off(text: str) -> tuple[list[Quantity], str]:
    """The quantities of a sentence, and the sentence without them."""
    found: list[Quantity] = []

    def dated(match: re.Match[str]) -> str:
        found.append(Quantity("date", _day(match), match[0]))
        return " "

    def versioned(match: re.Match[str]) -> str:
        number = match["v"] or match["bare"]
        found.append(Quantity("version", number, number))
        return match[0].removesuffix(number) + " "

    def measured(match: re.Match[str]) -> str:
        quantity, kept = _measured(match)
        if quantity is None:
            return match[0]
        found.append(quantity)
        return f" {kept} "

    rest = _DATE.sub(dated, text)
    rest = _VERSION.sub(versioned, rest)
    return found, " ".join(_AMOUNT.sub(measured, rest).split())


def _day(match: re.Match[str]) -> str:
    if match["iso"]:
        return match["iso"]
    day = match["d1"] or match["d2"]
    month = next(
        i
        for i, name in enumerate(_MONTHS, 1)
        if (match["m1"] or match["m2"] or match["m3"]).lower().startswith(name[:3])
    )
    year = match["y1"] or match["y2"] or match["y3"]
    return f"{year}-{month:02}" + (f"-{int(day):02}" if day else "")


def _measured(match: re.Match[str]) -> tuple[Quantity | None, str]:
    """The quantity, and what of the match is a word of the sentence all the same. None: a word that counts nothing."""
    number, scale = (match["n1"], match["s1"]) if match["n1"] else (match["n2"], match["s2"])
    spelt = number.lower() in _WRITTEN
    value = (
        float(_WRITTEN[number.lower()]) if spelt else float(number.replace(",", "").replace("_", "").replace("−", "-"))
    )
    value *= _SCALES.get((scale or "").lower(), 1.0)
    if match["before"]:
        return Quantity(UNITS[match["before"].lower()][0], value, match[0].strip()), ""
    if number.lower() in ("once", "twice"):
        return Quantity("number", value, number), match["unit"] or ""
    name = (match["unit"] or "").lower()
    known = unit(name)
    if known and (len(name) > 1 or not spelt):
        base, dimension = celsius(value * known[1], known[0])
        return Quantity(dimension, base, match[0].strip()), ""
    if number.lower() == "one" or (spelt and not name):
        return None, ""
    thing = name.removesuffix("s")
    dimension = "number" if {name, thing} & _LOOSE else f"count:{stem(name)}"
    return Quantity(dimension, value, number), "" if thing in _THINGS else match["unit"] or ""


def clash(mine: Sequence[Quantity], theirs: Sequence[Quantity]) -> str:
    """Which quantities can't both hold; empty where one side's are all among the other's, or none can be compared."""
    ours = [a for a in mine if not any(a.comparable(b) and a.equals(b) for b in theirs)]
    others = [b for b in theirs if not any(b.comparable(a) and b.equals(a) for a in mine)]
    pairs = [(a, b) for a in ours for b in others if a.comparable(b)]
    return f"{_listed(a for a, _ in pairs)} against {_listed(b for _, b in pairs)}" if pairs else ""


def same(mine: Sequence[Quantity], theirs: Sequence[Quantity]) -> bool:
    """Whether both sides have the same quantities."""
    return all(any(a.comparable(b) and a.equals(b) for b in theirs) for a in mine) and all(
        any(b.comparable(a) and b.equals(a) for a in mine) for b in theirs
    )


def _listed(found: Iterable[Quantity]) -> str:
    return ", ".join(sorted({quantity.written for quantity in found}))
