"""English documents of about 300 words with planted edits, and the true similarity of every planted pair.

The sentences are real ones, from the documentation in the Python packages that are installed here; documents are put
together from them at random, a fifth with a boilerplate paragraph that others carry too. An eighth of the documents are
edited copies: words replaced, a block cut out, sentences exchanged, by an amount that is drawn evenly, so that similarities
spread from 0.3 to 1. Word 5-grams, lower case.
"""

from __future__ import annotations

import json
import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

WORDS, WIDTH = 300, 5
COPIES, BOILERPLATE = 1 / 8, 1 / 5
_DOCSTRING = re.compile(r'"""(.*?)"""', re.S)
_SENTENCE = re.compile(r"[A-Z][^.!?`<>{}|=_\\]{30,250}\.(?=\s)")


def sentences(cache: Path) -> list[str]:
    """Distinct sentences of installed packages' documentation, in a fixed order."""
    if not cache.exists():
        found: dict[str, None] = {}
        for path in sorted(Path(sysconfig.get_paths()["purelib"]).rglob("*.py")):
            for docstring in _DOCSTRING.findall(path.read_text(encoding="utf-8", errors="replace")):
                found |= dict.fromkeys(" ".join(s.split()) for s in _SENTENCE.findall(docstring))
        cache.write_text(json.dumps(list(found)))
    return json.loads(cache.read_text())


def edited(words: list[str], pool: list[str], chooser: random.Random) -> list[str]:
    """A copy with changes, few or many."""
    words, amount = list(words), chooser.random()
    kind = chooser.choice(("words", "block", "order"))
    if kind == "words":
        for _ in range(round(amount * 25)):
            words[chooser.randrange(len(words))] = chooser.choice(pool)
    elif kind == "block":
        start, length = chooser.randrange(len(words)), round(amount * 0.4 * len(words))
        del words[start : start + length]
    else:
        for _ in range(1 + round(amount * 10)):
            a = chooser.randrange(len(words))
            words = words[a:] + words[:a] if amount < 0.1 else [*words[:a], *chooser.choices(pool, k=8), *words[a:]]
    return words


def documents(rows: int, sentence: list[str]) -> Iterator[tuple[str, int]]:
    """Texts, each with the number of the document that it was copied from, or its own."""
    chooser = random.Random(rows)
    pool = sorted({word for one in sentence[:5000] for word in one.split()})
    paragraphs = [" ".join(chooser.choices(sentence, k=5)) for _ in range(50)]
    texts: list[str] = []
    for row in range(rows):
        if row and chooser.random() < COPIES:
            origin = chooser.randrange(row)
            yield_ = " ".join(edited(texts[origin].split(), pool, chooser))
        else:
            origin, parts, length = row, [], 0
            if chooser.random() < BOILERPLATE:
                parts.append(chooser.choice(paragraphs))
            while length < WORDS:
                parts.append(chooser.choice(sentence))
                length += parts[-1].count(" ") + 1
            yield_ = " ".join(parts)
        texts.append(yield_)
        yield yield_, origin


def shingles(text: str) -> frozenset[str]:
    """What the true similarity is measured over."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(" ".join(words[i : i + WIDTH]) for i in range(max(1, len(words) - WIDTH + 1)))


def similarity(a: frozenset[str], b: frozenset[str]) -> float:
    """Jaccard."""
    return len(a & b) / len(a | b)


def make(folder: Path, rows: int) -> tuple[Path, Path]:
    """The documents as Parquet (`id`, `text`), and their families: rows that were copied from one another."""
    texts, truth = folder / f"{rows}.parquet", folder / f"{rows}.families.json"
    if not truth.exists():
        folder.mkdir(parents=True, exist_ok=True)
        found = list(documents(rows, sentences(folder / "sentences.json")))
        table = pa.table({"id": [f"{row:032x}" for row in range(rows)], "text": [text for text, _ in found]})
        pq.write_table(table, texts, compression="zstd", row_group_size=4096)
        root: list[int] = []
        families: dict[int, list[int]] = {}
        for row, (_, origin) in enumerate(found):
            root.append(row if origin == row else root[origin])
            families.setdefault(root[row], []).append(row)
        truth.write_text(json.dumps([f for f in families.values() if len(f) > 1]))
    return texts, truth
