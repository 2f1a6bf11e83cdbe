"""Anonymisation: how many planted identifiers are found, and how often technical prose is taken for one.

    python -m benchmarks.anonymisation --each 200 --words 100000

Recall: identifiers of 17 kinds and names, written from their public specifications, are planted in sentences, settings and
tables amid real prose and code. One is found when every character of it is covered, by whatever kind: what is left of a
number is a leak. The sentences come in two halves; the recognisers were tuned on one, and the other is only counted.

False alarms: finds in the same kind of text with nothing planted, per 1,000 words, beside Presidio's default recognisers for
the kinds that both know, once as Presidio comes (every score counts) and once at the threshold that Metier uses.

What to look at: a kind below 0.99 held out is a leak; a kind far above Presidio's alarms ruins the text. --misses prints the
sentences of the tuned half in which something was missed, --alarms what was found where nothing was planted.
"""

from __future__ import annotations

import argparse
import collections
import json
from pathlib import Path
from typing import Any

from benchmarks.anonymisation.corpus import HALVES, Planted, planted, technical
from benchmarks.anonymisation.engines import SAME, THRESHOLD, Engine, metier, presidio
from benchmarks.anonymisation.plants import PLANTS

NAMES = "PERSON"
COMPARED = tuple(dict.fromkeys(SAME.values()))


def recall(texts: list[Planted], engine: Engine, misses: bool) -> dict[str, dict[str, float]]:
    """By kind: the share that is covered, and the share that is covered by a find of that kind."""
    planted_of, covered, named = (collections.Counter[str]() for _ in range(3))
    for one in texts:
        spans = engine(one.text)
        held = {place for _, start, end in spans for place in range(start, end)}
        for plant in one.plants:
            planted_of[plant.kind] += 1
            whole = all(place in held for place in range(plant.start, plant.end) if one.text[place] != " ")
            covered[plant.kind] += whole
            named[plant.kind] += any(k == plant.kind and s < plant.end and plant.start < e for k, s, e in spans)
            if misses and not whole and plant.kind != NAMES:
                line = one.text[one.text.rfind("\n", 0, plant.start) + 1 : one.text.find("\n", plant.end)]
                print(f"missed {plant.kind}: {line!r}")
    return {k: {"planted": n, "recall": covered[k] / n, "as_kind": named[k] / n} for k, n in planted_of.items()}


def alarms(pieces: list[str], engine: Engine, shown: bool) -> dict[str, float]:
    """Finds per 1,000 words, by kind."""
    found: collections.Counter[str] = collections.Counter()
    for piece in pieces:
        for kind, start, end in engine(piece):
            found[kind] += 1
            if shown:
                print(f"alarm {kind}: {piece[max(0, start - 40) : end + 20]!r}")
    words = sum(len(piece.split()) for piece in pieces)
    return {kind: 1000 * number / words for kind, number in sorted(found.items())}


def measured(each: int, words: int, seed: int, misses: bool, shown: bool) -> dict[str, Any]:
    """Every figure."""
    pieces = technical(words, seed)
    ours = metier()
    mixed = pieces["prose"] + pieces["code"]
    found = {
        half: recall(planted(mixed, half, each, seed, list(PLANTS)), ours, misses and half == "seen") for half in HALVES
    }
    engines = {"metier": ours, "presidio": presidio(0.0), f"presidio, threshold {THRESHOLD}": presidio(THRESHOLD)}
    noise = {name: {kind: alarms(part, engine, shown and engine is ours) for kind, part in pieces.items()}
             for name, engine in engines.items()}  # fmt: skip
    size = {kind: sum(len(piece.split()) for piece in part) for kind, part in pieces.items()}
    return {"each": each, "seed": seed, "words": size, "recall": found, "alarms": noise}


def table(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    seen, held = (result["recall"][half] for half in HALVES)
    out = f"| kind | recall, seen | recall, held out | as that kind, held out |\n|{' --- |' * 4}\n"
    for kind in PLANTS:
        out += f"| {kind} | {seen[kind]['recall']:.3f} | {held[kind]['recall']:.3f} | {held[kind]['as_kind']:.3f} |\n"
    out += f"\n{result['each']} of each kind in each half. False alarms per 1,000 words, "
    out += ", ".join(f"{n:,} words of {kind}" for kind, n in result["words"].items()) + ":\n\n"
    names = list(result["alarms"])
    out += f"| kind | {' | '.join(f'{name}: prose | code' for name in names)} |\n|{' --- |' * (1 + 2 * len(names))}\n"
    kinds = [*COMPARED, *(kind for kind in PLANTS if kind not in COMPARED)]
    for kind in kinds:
        cells = [result["alarms"][name][part].get(kind, 0.0) for name in names for part in ("prose", "code")]
        told = [f"{c:.3f}" if kind in COMPARED or i < 2 else "–" for i, c in enumerate(cells)]
        out += f"| {kind} | {' | '.join(told)} |\n"
    for title, of in (("both know", COMPARED), ("in all", kinds)):
        sums = [
            sum(result["alarms"][name][part].get(k, 0.0) for k in of) for name in names for part in ("prose", "code")
        ]
        out += f"| **{title}** | {' | '.join(f'{s:.3f}' for s in sums)} |\n"
    return out


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=200, help="identifiers of each kind in each half")
    parser.add_argument("--words", type=int, default=100_000, help="words of prose and of code with nothing planted")
    parser.add_argument("--seed", type=int, default=20_251)
    parser.add_argument("--misses", action="store_true", help="print what was missed in the tuned half")
    parser.add_argument("--alarms", action="store_true", help="print what was found where nothing was planted")
    parser.add_argument("--output", type=Path, help="JSON with every figure")
    given = parser.parse_args()
    result = measured(given.each, given.words, given.seed, given.misses, given.alarms)
    print(table(result))
    if given.output:
        given.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
