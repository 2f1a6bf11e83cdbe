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
import itertools
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.anonymisation.corpus import HALVES, Planted, planted, technical
from benchmarks.anonymisation.engines import ENGINES, OURS, SAME, Engine
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
    """Every figure. Recall by engine and half, alarms by engine and kind of text, words a CPU second by engine."""
    pieces = technical(words, seed)
    size = {kind: sum(len(piece.split()) for piece in part) for kind, part in pieces.items()}
    texts = {half: planted(pieces["prose"] + pieces["code"], half, each, seed, list(PLANTS)) for half in HALVES}
    found: dict[str, Any] = {}
    noise: dict[str, Any] = {}
    speed: dict[str, float] = {}
    for name, engine in ENGINES.items():
        find, ours = engine(), name == OURS
        find("+1 212 555 0123, DE89 3704 0044 0532 0130 00, client 93.184.216.34")  # loads what is loaded once
        found[name] = {half: recall(part, find, misses and ours and half == "seen") for half, part in texts.items()}
        began = time.process_time()
        noise[name] = {kind: alarms(part, find, shown and ours) for kind, part in pieces.items()}
        speed[name] = sum(size.values()) / (time.process_time() - began)
    return {"each": each, "seed": seed, "words": size, "recall": found, "alarms": noise, "words_per_cpu_second": speed}


def table(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    seen, held = (result["recall"][OURS][half] for half in HALVES)
    others = {name: result["recall"][name]["held out"] for name in ENGINES if name != OURS}
    out = f"| kind | recall, seen | recall, held out | as that kind, held out | {' | '.join(others)} |\n"
    out += f"|{' --- |' * (4 + len(others))}\n"
    for kind in PLANTS:
        cells = [seen[kind]["recall"], held[kind]["recall"], held[kind]["as_kind"]]
        told = [f"{c:.3f}" for c in [*cells, *(o[kind]["recall"] for o in others.values())]]
        out += f"| {kind} | {' | '.join(told if kind in COMPARED else [*told[:3], *('–' for _ in others)])} |\n"
    sizes = ", ".join(f"{n:,} words of {kind}" for kind, n in result["words"].items())
    out += f"\n{result['each']} of each kind in each half. False alarms per 1,000 words, {sizes}:\n\n"
    out += (
        f"| kind | {' | '.join(f'{name}: prose | code' for name in ENGINES)} |\n|{' --- |' * (1 + 2 * len(ENGINES))}\n"
    )
    rows: dict[str, tuple[str, ...]] = {kind: (kind,) for kind in sorted(PLANTS, key=lambda kind: kind not in COMPARED)}
    for title, kinds in {**rows, "**both know**": COMPARED, "**in all**": tuple(PLANTS)}.items():
        cells = []
        for name, part in itertools.product(ENGINES, result["words"]):
            known = [kind for kind in kinds if name == OURS or kind in COMPARED]
            rates = result["alarms"][name][part]
            cells.append(f"{sum(rates.get(kind, 0.0) for kind in known):.3f}" if known else "–")
        out += f"| {title} | {' | '.join(cells)} |\n"
    speeds = ", ".join(f"{name} {speed:,.0f}" for name, speed in result["words_per_cpu_second"].items())
    return out + f"\nWords a CPU second: {speeds}.\n"


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
