"""Numbers that a domain gives out itself (accounts, patients, cases), found by patterns that the user writes.

Patterns run on RE2, whose time grows with the text alone: a pattern that would take Python's engine years is either harmless
here or refused when the settings are read. RE2 knows no look-around and no back-references, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import Field, field_validator

from metier.config import StageConfig
from metier.text.checksums import CHECKSUMS
from metier.text.forms import AFTER, BEFORE, NAMED, Found, phrase

LARGEST = 1 << 20  # bytes that a compiled pattern may take
_LONE = re.compile("[\ud800-\udfff]")


class DomainIdentifier(StageConfig):
    """One kind of number that only this domain has."""

    kind: str = Field(pattern=r"^[A-Z][A-Z0-9_]{1,40}$")
    """Its name, which stands in the surrogates: capitals and underscores."""
    pattern: str = Field(min_length=2, max_length=500)
    """A regular expression of RE2. Where it has a group `value`, `(?P<value>...)`, only that is replaced."""
    context: tuple[str, ...] = ()
    """Words one of which stands near it, such as `claim no`; a space stands for any mark between words. Empty: none needed."""
    checksum: Literal["", "luhn", "mod97", "nhs", "routing"] = ""
    """How its check digits are made; what does not fit is left alone. Empty: it has none."""

    @field_validator("pattern")
    @classmethod
    def _runs(cls, given: str) -> str:
        import re2

        try:
            empty = compiled(given).search("")
        except re2.error as error:
            reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
            raise ValueError(
                f"{given!r} can't be run safely ({reason}); RE2 knows no look-around, no back-reference"
            ) from None
        if empty:
            raise ValueError(f"{given!r} matches an empty text")
        return given


def compiled(pattern: str) -> Any:
    """The pattern for RE2. Raises re2.error."""
    import re2

    options = re2.Options()
    options.max_mem = LARGEST
    options.log_errors = False
    return re2.compile(pattern, options=options)


def recogniser(one: DomainIdentifier) -> Callable[[str], Iterator[Found]]:
    """Finds one kind."""
    pattern = compiled(one.pattern)
    group = pattern.groupindex.get("value", 0)
    near = phrase(*(re.escape(word).replace("\\ ", " ") for word in one.context)) if one.context else None
    check = CHECKSUMS.get(one.checksum)

    def finds(text: str) -> Iterator[Found]:
        if near and not near.search(text):
            return
        for match in pattern.finditer(_LONE.sub("\ufffd", text)):
            start, end = match.span(group)
            around = (text[max(0, match.start() - BEFORE) : match.end()], text[match.end() : match.end() + AFTER])
            named = near is None or any(near.search(part) for part in around)
            if start < end and named and (check is None or check(text[start:end])):
                yield Found(one.kind, start, end, NAMED)

    return finds
