"""Days as people and programs write them: found, read, and written again in the same manner.

`03/04/1984` can be read in two ways. Behind a slash the month stands first where it can, behind a point or a dash the day: a
day that is misread is still moved by the same number of days.
"""

from __future__ import annotations

import datetime
import re

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"
)  # fmt: skip
_NAME = "|".join(f"{month[:3]}(?:{month[3:]})?" if month[3:] else month for month in MONTHS) + "|Sept"
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d{2}"
_ORDINAL = r"(?:st|nd|rd|th)?"
WRITTEN_DAY = re.compile(
    rf"(?<![\w.\-/])(?:"
    rf"(?P<y1>{_YEAR})(?P<s1>[-/.])(?P<m1>{_MONTH})(?P=s1)(?P<d1>{_DAY})"
    rf"|(?P<a2>\d{{1,2}})(?P<s2>[-/.])(?P<b2>\d{{1,2}})(?P=s2)(?P<y2>{_YEAR}|\d{{2}})"
    rf"|(?P<d3>{_DAY})(?P<o3>{_ORDINAL})(?P<s3>[ -](?:of )?)(?P<m3>{_NAME})(?P<t3>\.?,?[ -])(?P<y3>{_YEAR})"
    rf"|(?P<m4>{_NAME})(?P<s4>\.? )(?P<d4>{_DAY})(?P<o4>{_ORDINAL})(?P<t4>,? )(?P<y4>{_YEAR})"
    rf")(?![\w\-/]|\.\d)"
)
CENTURY = 30  # two digits up to this are of the present one


def _number(name: str) -> int:
    return next(i for i, month in enumerate(MONTHS, 1) if month.startswith(name[:3]))


def _full(year: str) -> int:
    return int(year) if len(year) == 4 else int(year) + (2000 if int(year) <= CENTURY else 1900)


def _like(number: int, written: str) -> str:
    return f"{number:02d}" if len(written) == 2 else str(number)


def _beside_name(number: int, written: str) -> str:
    return f"{number:02d}" if written.startswith("0") else str(number)


def _named(month: int, written: str) -> str:
    name = MONTHS[month - 1]
    return name[:3] if len(written) <= 4 and written != MONTHS[_number(written) - 1] else name


def _ordinal(day: int, written: str) -> str:
    if not written:
        return ""
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def moved(written: str, days: int) -> str | None:
    """The day that lies `days` later, written in the same manner; None for what is no day, or leaves the calendar."""
    match = WRITTEN_DAY.fullmatch(written)
    if not match:
        return None
    g = match.groupdict()
    try:
        if g["y1"]:
            day = datetime.date(int(g["y1"]), int(g["m1"]), int(g["d1"])) + datetime.timedelta(days)
            return g["s1"].join((str(day.year), _like(day.month, g["m1"]), _like(day.day, g["d1"])))
        if g["y2"]:
            return _moved_numbers(g["a2"], g["b2"], g["y2"], g["s2"], days)
        if g["y3"]:
            day = datetime.date(int(g["y3"]), _number(g["m3"]), int(g["d3"])) + datetime.timedelta(days)
            head = f"{_beside_name(day.day, g['d3'])}{_ordinal(day.day, g['o3'])}"
            return f"{head}{g['s3']}{_named(day.month, g['m3'])}{g['t3']}{day.year}"
        day = datetime.date(int(g["y4"]), _number(g["m4"]), int(g["d4"])) + datetime.timedelta(days)
        tail = f"{_beside_name(day.day, g['d4'])}{_ordinal(day.day, g['o4'])}"
        return f"{_named(day.month, g['m4'])}{g['s4']}{tail}{g['t4']}{day.year}"
    except (ValueError, OverflowError):
        return None


def _moved_numbers(a: str, b: str, year: str, mark: str, days: int) -> str:
    month_first = (mark == "/" and int(a) <= 12) or int(b) > 12
    month, day = (int(a), int(b)) if month_first else (int(b), int(a))
    later = datetime.date(_full(year), month, day) + datetime.timedelta(days)
    first, second = (later.month, later.day) if month_first else (later.day, later.month)
    return mark.join((_like(first, a), _like(second, b), str(later.year)[-len(year) :]))
