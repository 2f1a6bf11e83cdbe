"""A keyed permutation of all texts of one form: digits stay digits, letters stay letters, and nothing maps to itself.

Format-preserving encryption after NIST SP 800-38G in its idea, not in its letter: a balanced Feistel network of ten rounds of
HMAC-SHA256 over the smallest even number of bits that holds the domain, walked until it falls inside (cycle walking; Black
and Rogaway 2002). P alone would leave some text as it is, so the surrogate of x is P^-1(P(x) + 1): one cycle through the
whole domain. It is a permutation, so two texts of one form never meet in one surrogate, and none is its own.

What is small stays guessable by whoever holds the key; without the key a domain of fewer than a million texts tells no more
than a code book that nobody has.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import math
import string
from collections.abc import Callable

ROUNDS = 10
_ALPHABETS = (string.digits, string.ascii_uppercase, string.ascii_lowercase)


def _alphabet(char: str) -> str:
    return next((a for a in _ALPHABETS if char in a), char)


def permuted(text: str, key: bytes, domain: str, given_out: Callable[[str], bool] = lambda _: True) -> str:
    """Another text of the same form: same length, digits for digits, letters for letters in their case, marks as they are.

    `domain` parts the kinds: one number is another surrogate as a card and as an account. Texts that `given_out` refuses are
    stepped over, which keeps all of the above among those that it takes. Raises ValueError where there is no other text.
    """
    alphabets = [_alphabet(char) for char in text]
    size = math.prod(len(a) for a in alphabets)
    secret = hmac.digest(key, f"{domain}\0{'.'.join(str(len(a)) for a in alphabets)}".encode(), "sha256")
    start = at = _number(text, alphabets)
    for _ in range(10_000):
        at = _through(secret, size, (_through(secret, size, at, back=False) + 1) % size, back=True)
        if at == start:
            break
        found = _text(at, alphabets)
        if given_out(found):
            return found
    raise ValueError(f"no other text of the form of these {len(text)} characters")


def _number(text: str, alphabets: list[str]) -> int:
    number = 0
    for char, alphabet in zip(text, alphabets, strict=True):
        number = number * len(alphabet) + alphabet.index(char)
    return number


def _text(number: int, alphabets: list[str]) -> str:
    chars = []
    for alphabet in reversed(alphabets):
        number, place = divmod(number, len(alphabet))
        chars.append(alphabet[place])
    return "".join(reversed(chars))


def _through(secret: bytes, size: int, number: int, *, back: bool) -> int:
    """The number's image in [0, size), or what it is the image of."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    while True:
        number = _feistel(secret, half, number, back)
        if number < size:
            return number


def _feistel(secret: bytes, half: int, number: int, back: bool) -> int:
    left, right = number >> half, number & ((1 << half) - 1)
    for turn in reversed(range(ROUNDS)) if back else range(ROUNDS):
        if back:
            left, right = right ^ _round(secret, turn, half, left), left
        else:
            left, right = right, left ^ _round(secret, turn, half, right)
    return left << half | right


@functools.lru_cache(maxsize=4096)
def _round(secret: bytes, turn: int, half: int, side: int) -> int:
    message = turn.to_bytes(1, "big") + side.to_bytes((half + 7) // 8, "big")
    digest = hmac.digest(secret, message, hashlib.sha256)
    return int.from_bytes(digest, "big") >> (256 - half)
