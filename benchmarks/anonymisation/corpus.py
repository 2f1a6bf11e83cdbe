"""Real prose and code to plant identifiers in: docstrings, descriptions and sources of the packages that are installed here.

Nothing is kept: a text is read where it lies. What stands in it of real people (an author's mailbox) counts as a false alarm
for all engines alike.
"""

from __future__ import annotations

import random
import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from benchmarks.anonymisation.contexts import HELD_OUT, SEEN
from benchmarks.anonymisation.plants import PLANTS

PIECE_WORDS = 200
_DOCSTRING = re.compile(r'"""(.*?)"""', re.S)
HALVES = {"seen": SEEN, "held out": HELD_OUT}


@dataclass(frozen=True)
class Plant:
    """One planted identifier: its kind, and its place in the text."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Planted:
    """A text with identifiers in it."""

    text: str
    plants: tuple[Plant, ...]


def technical(words: int, seed: int) -> dict[str, list[str]]:
    """Pieces of prose (docstrings and package descriptions) and of code, about `words` words of each."""
    root = Path(sysconfig.get_paths()["purelib"])
    files = sorted(p for p in root.rglob("*.py") if 2_000 < p.stat().st_size < 200_000)
    described = sorted(root.glob("*.dist-info/METADATA"))
    chooser = random.Random(seed)
    chooser.shuffle(files)
    chooser.shuffle(described)
    pieces: dict[str, list[str]] = {"prose": [], "code": []}
    for path in files:
        source = path.read_text(encoding="utf-8", errors="replace")
        _add(pieces["code"], source, words, chooser)
        _add(
            pieces["prose"],
            "\n\n".join(d for d in _DOCSTRING.findall(source) if len(d.split()) > 30),
            words * 2 // 3,
            chooser,
        )
        if _words(pieces["code"]) >= words and _words(pieces["prose"]) >= words * 2 // 3:
            break
    for path in described:
        _, _, description = path.read_text(encoding="utf-8", errors="replace").partition("\n\n")
        _add(pieces["prose"], description, words, chooser)
    return pieces


def _words(pieces: list[str]) -> int:
    return sum(len(piece.split()) for piece in pieces)


def _add(pieces: list[str], text: str, words: int, chooser: random.Random) -> None:
    """Adds one piece of whole lines out of a text, unless there are enough."""
    lines = text.splitlines(keepends=True)
    if _words(pieces) >= words or len(text.split()) < PIECE_WORDS // 2:
        return
    start, piece, count = chooser.randrange(max(1, len(lines) - 20)), "", 0
    for line in lines[start:]:
        piece, count = piece + line, count + len(line.split())
        if count >= PIECE_WORDS:
            break
    pieces.append(piece)


def planted(pieces: list[str], half: str, each: int, seed: int, kinds: list[str]) -> list[Planted]:
    """`each` identifiers of each kind, three to a piece, in sentences of one half of the contexts."""
    chooser = random.Random(f"{half} {seed}")
    todo = [kind for kind in kinds for _ in range(each)]
    chooser.shuffle(todo)
    made = []
    for at in range(0, len(todo), 3):
        lines = chooser.choice(pieces).splitlines(keepends=True)
        text, plants = "", []
        places = sorted(chooser.sample(range(len(lines) + 1), k=min(3, len(lines) + 1)))
        for number, line in enumerate([*lines, ""]):
            for kind in [k for k, place in zip(todo[at : at + 3], places, strict=False) if place == number]:
                text += "" if not text or text.endswith("\n") else "\n"
                sentence, start, end = _sentence(kind, half, chooser)
                plants.append(Plant(kind, len(text) + start, len(text) + end))
                text += sentence + "\n"
            text += line
        made.append(Planted(text, tuple(plants)))
    return made


def _sentence(kind: str, half: str, chooser: random.Random) -> tuple[str, int, int]:
    value = PLANTS[kind](chooser)
    before, after = chooser.choice(HALVES[half][kind]).replace("{{", "{").replace("}}", "}").split("{}")
    head, _, rest = value.partition("\0")
    secret = rest.partition("\0")[0] if rest else head
    start = len(before) + (len(head) if rest else 0)
    return before + value.replace("\0", "") + after, start, start + len(secret)
