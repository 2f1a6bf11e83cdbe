"""One form for all texts that say the same: NFKC, one case. As a table, so that a kernel can fold bytes as it reads them.

A code point whose folding depends on its neighbours (combining marks), or is longer than one code point, is marked as
`SLOW`: its text goes through `folded` first. In English prose that is a row in a few hundred.
"""

from __future__ import annotations

import functools
import sys
import unicodedata
from collections.abc import Callable

import numpy as np

from metier.text.kernels import ALONE, KIND_SHIFT, MARK, SLOW, SPACE, TABLED, WORD

_UNSPACED = ((0x0E00, 0x0F00), (0x1780, 0x1800), (0x3040, 0x3100), (0x31F0, 0x3200), (0x3400, 0x4DC0), (0x4E00, 0xA000),
             (0xF900, 0xFB00), (0x20000, sys.maxunicode + 1))  # fmt: skip  # Thai, Lao, Khmer, Kana, ideographs
_JAMO = range(0x1100, 0x1200)  # compose with their neighbours


def folded(text: str) -> str:
    """The text in the compatibility form of Unicode and without case (Unicode 3.13, toNFKC_Casefold but for ignorables)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def kind_of(character: str) -> int:
    """SPACE, MARK, WORD or ALONE."""
    if character.isspace():
        return SPACE
    if any(low <= ord(character) < high for low, high in _UNSPACED):
        return ALONE
    return WORD if character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M" else MARK


def _entry(character: str, plain: str, again: str) -> int:
    joins = unicodedata.category(character)[0] == "M" or ord(character) in _JAMO
    if joins or len(plain) != 1 or again != plain:
        return SLOW | kind_of(character) << KIND_SHIFT | ord(character)
    return kind_of(plain) << KIND_SHIFT | (0x20 if plain.isspace() else ord(plain))


@functools.cache
def table() -> np.ndarray:
    """For each code point below `TABLED`: SLOW or not, its kind, and what it folds to. uint32."""
    characters = [chr(code) for code in range(TABLED)]
    plain = _each(folded, characters)
    entries = map(_entry, characters, plain, _each(folded, plain))
    return np.fromiter(entries, np.uint32, TABLED)


def _each(function: Callable[[str], str], texts: list[str]) -> list[str]:
    """The function of each text, in one call: nothing joins with a line break."""
    return function("\n".join(" " if text == "\n" else text for text in texts)).split("\n")
