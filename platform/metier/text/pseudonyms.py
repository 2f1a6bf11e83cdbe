"""What stands in a text in place of a piece of personal data: the same value always gets the same surrogate.

Numbered surrogates (`<EMAIL_ADDRESS_1>`) hold within one record, need no secret and can't be undone. Keyed ones
(`<EMAIL_ADDRESS_5c0e7d21f0a3>`) hold across records and runs: whoever has the key can test a guess, nobody else can.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable

from metier.text.personal import Finder

Surrogate = Callable[[str, str], str]
"""Called with a kind and a value as written; gives what replaces it."""
_STANDING = re.compile(r"<([A-Z][A-Z0-9_]*)_(\d{1,9})>")
DIGITS = 12  # of a keyed surrogate: 48 bits, so two of a million values meet with a chance of 1 in 500
_AS_WRITTEN = frozenset({"SECRET", "CRYPTO"})  # in which a small letter is another one than a capital


def canonical(kind: str, value: str) -> str:
    """The value without what differs between two ways to write it: case, spaces, marks; of a name, order and initials."""
    if kind in _AS_WRITTEN:
        return value
    if kind == "PERSON":
        words = re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", value.casefold())
        return " ".join(sorted(word for word in words if len(word) > 1) or words)
    return value.lower() if kind in ("EMAIL_ADDRESS", "IP_ADDRESS") else re.sub(r"[^0-9A-Z+]", "", value.upper())


def numbered(texts: Iterable[str]) -> Surrogate:
    """Surrogates numbered by kind as they come up, for one record; those that stand in its `texts` are left free."""
    last: dict[str, int] = {}
    for text in texts:
        for kind, number in _STANDING.findall(text):
            last[kind] = max(last.get(kind, 0), int(number))
    given: dict[tuple[str, str], str] = {}

    def surrogate(kind: str, value: str) -> str:
        key = (kind, canonical(kind, value))
        if key not in given:
            last[kind] = last.get(kind, 0) + 1
            given[key] = f"<{kind}_{last[kind]}>"
        return given[key]

    return surrogate


def keyed(key: bytes) -> Surrogate:
    """Surrogates by HMAC-SHA256 of kind and value."""

    def surrogate(kind: str, value: str) -> str:
        message = f"{kind}\0{canonical(kind, value)}".encode("utf-8", "surrogatepass")
        return f"<{kind}_{hmac.new(key, message, hashlib.sha256).hexdigest()[:DIGITS]}>"

    return surrogate


def key_fingerprint(key: bytes) -> str:
    """Eight digits that tell one key from another: slow to compute (scrypt), and far too short to find the key by."""
    return hashlib.scrypt(key, salt=b"metier pseudonym key", n=1 << 14, r=8, p=1, dklen=4).hex()


def masked(text: str, find: Finder, surrogate: Surrogate) -> str:
    """The text with each piece of personal data replaced by its surrogate."""
    parts, at = [], 0
    for found in find(text):
        parts += [text[at : found.start], surrogate(found.kind, text[found.start : found.end])]
        at = found.end
    return "".join([*parts, text[at:]])
