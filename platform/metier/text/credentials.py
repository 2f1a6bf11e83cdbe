"""Secrets in text: tokens in their issuers' forms, logins in URLs, and what is given to a name such as `password`.

A token of a known issuer is unmistakable. Any other value must look drawn at random, for documentation is full of
`token=tokenizer` and `https://user:password@host`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from metier.text.forms import NAMED, SURE, Found

KIND = "SECRET"
_ISSUED = re.compile(
    r"(?<![\w-])(?:"
    r"(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{50,255}|glpat-[\w-]{20,64}|npm_[A-Za-z0-9]{36}"
    r"|xox[abeprs]-[\w-]{10,250}|AIza[\w-]{35}|[sprk]{2}_(?:live|test)_[A-Za-z0-9]{16,255}|hf_[A-Za-z]{30,40}"
    r"|sk-[\w-]{32,255}|SG\.[\w-]{16,32}\.[\w-]{16,64}|eyJ[\w-]{10,2000}\.[\w-]{10,4000}\.[\w-]{10,1000}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\w\s+/=:,-]{20,8000}-----END [A-Z ]{0,30}PRIVATE KEY-----"
    r")(?![\w-])"
)
_LOGIN = re.compile(r"(?<![\w+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://(?P<value>[^\s/:@\"'<>]{0,100}:[^\s/@\"'<>]{1,200})@")
_NAME = (
    r"pass(?:word|wd|phrase)|pwd|(?:client|shared|app)?[_-]?secret(?:[_-]?key)?|(?:api|access|private|auth|account)[_-]?key"
    r"|(?:access|auth|refresh|bearer|id|session|api)?[_-]?token"
)
_GIVEN = re.compile(  # the value is only looked at, for in `token: password=...` it is itself a name with a value
    rf"(?<![A-Za-z])(?:{_NAME})[\"'`]?[ \t]{{0,4}}(?:=>|:=|=|:)[ \t]{{0,4}}[\"'`]?(?=(?P<value>[^\s\"'`<>&,;:=]{{8,200}}={{0,2}}))",
    re.I,
)
_BEARER = re.compile(r"\b(?:Bearer|Basic)[ ]{1,3}(?P<value>[\w.~+/-]{16,1000}={0,2})")
_PLACEHOLDER = re.compile(
    r"(?:user(?:name)?|pass(?:word|wd|phrase)?|pw|pwd|secret|token|xx+|your\w*|my[_-]\w+|example|foo|bar|test|login|name)\b|.*[<{$*%]",
    re.I,
)


def random_looking(value: str) -> bool:
    """Whether letters and digits change kind as often as drawn ones do; names in code change it between words only."""
    plain = value.rstrip(".)]}")
    if len(plain) < 8 or re.search(r"[()\[\]{}]|\w\.\w+\(|^[\w]+\.[a-z_]+$", value):
        return False
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else c for c in plain]
    changes = sum(a != b for a, b in itertools.pairwise(kinds)) / (len(plain) - 1)
    return changes >= (0.25 if "d" in kinds else 0.36)


def secrets(text: str) -> Iterator[Found]:
    """All secrets in `text`."""
    for match in _ISSUED.finditer(text):
        yield Found(KIND, *match.span(), SURE)
    if "://" in text:
        for match in _LOGIN.finditer(text):
            if not _PLACEHOLDER.match(match["value"].rpartition(":")[2]):
                yield Found(KIND, *match.span("value"), SURE)
    for pattern in (_GIVEN, _BEARER):
        for match in pattern.finditer(text):
            start, value = match.start("value"), match["value"].rstrip(".)]}")
            if random_looking(value) and not _PLACEHOLDER.match(value):
                yield Found(KIND, start, start + len(value), NAMED)
