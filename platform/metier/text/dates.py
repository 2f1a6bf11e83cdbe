"""Days from which and until which knowledge holds. A day is ISO 8601; a time of day behind it is passed over."""

from __future__ import annotations

import datetime
import re

NO_END = "9999-12-31"  # of what was not superseded, where days are compared
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ].*)?")


def day_of(text: str) -> datetime.date | None:
    """The day that is written, None for an empty text. Raises ValueError for anything else."""
    if not text:
        return None
    found = _DAY.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no ISO 8601 day (2025-01-31)")
    return datetime.date.fromisoformat(found[1])


def plain_day(text: str) -> str:
    """The day in a date or time as YYYY-MM-DD, which sorts; empty for none. Raises ValueError as `day_of` does."""
    day = day_of(text)
    return day.isoformat() if day else ""


def superseded_by(superseded: str, as_of: str) -> bool:
    """Whether what was superseded on a day no longer holds on another. False where either is unknown."""
    ended, day = day_of(superseded), day_of(as_of)
    return ended is not None and day is not None and ended <= day


def starts_after(effective: str, as_of: str) -> bool:
    """Whether what holds from a day does not hold yet on another. False where either is unknown."""
    begins, day = day_of(effective), day_of(as_of)
    return begins is not None and day is not None and begins > day
