"""Contradictions: how many of the planted ones the rules find, and how many of those that they report are ones.

    python -m benchmarks.contradictions --output contradictions.json

Every half of the templates is one heap of dialogues (`corpus.py`), given to the functions that the filter stage runs: blocking
by shared words, then rules. A reported pair is right if its two facts exclude each other, planted as that pair or not; recall
counts the planted pairs. The rules were tuned while looking at the development half; the held-out half has other templates, of
which only figures were looked at, never a case. `--failures 5` shows what went wrong, of the development half.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contradictions.corpus import HALVES, Author, Line
from metier.execution.contradictions import Claimed, candidates, comparison, taken_down
from metier.execution.tasks import Here
from metier.lineage.shards import from_table
from metier.records import Dialogue, Message
from metier.stages.filter import Config
from metier.text.blocking import rows_in
from metier.text.claims import Contradiction, claim_of

Pair = tuple[Line, Line]


def dialogue(line: Line) -> Dialogue:
    """The line as a training pair. Task and bundle make its id its own where another line has the same words."""
    turns = (Message(role="user", content=line.question), Message(role="assistant", content=line.answer))
    return Dialogue(messages=turns, task=f"{line.bundle} {line.role}", source="structured")


def reported(lines: list[Line], max_sharing: int) -> tuple[list[Pair], dict[str, Any]]:
    """The pairs that the rules take for contradictions, and what that cost."""
    start = time.perf_counter()
    dialogues = [dialogue(line) for line in lines]
    of = {d.id: line for d, line in zip(dialogues, lines, strict=True)}
    claims = [claim_of(d, answers=True) for d in dialogues]
    parts, here = [Claimed(*taken_down(range(len(claims)), claims))], Here()
    (pairs,) = candidates(here, np.zeros(1, int), parts, max_sharing)
    (table,), _ = comparison(here, parts, [pairs])
    found = [(of[one.first], of[one.second]) for one in from_table(Contradiction, table)]
    seconds = time.perf_counter() - start
    rows = zip(*(side.tolist() for side in rows_in(np.unique(np.concatenate(pairs.by_words)))), strict=True)
    compared = {(lines[a], lines[b]) for a, b in rows}
    planted = [pair for pair in compared if is_planted(pair)]
    cost = {"dialogues": len(lines), "compared": len(compared), "planted_compared": len(planted)}
    return found, cost | {"seconds": round(seconds, 2)}


def is_planted(pair: Pair) -> bool:
    """Whether the pair is a fact and its contradiction."""
    return pair[0].bundle == pair[1].bundle and {line.role for line in pair} == {"base", "planted"}


def measured(lines: list[Line], found: Iterable[Pair]) -> list[dict[str, Any]]:
    """Precision and recall by domain and kind, by kind, by domain, and in all."""
    planted: collections.Counter[tuple[str, str]] = collections.Counter()
    hit, right, wrong = planted.copy(), planted.copy(), planted.copy()
    for line in lines:
        if line.role == "planted":
            planted.update(_groups(line))
    for pair in found:
        true = pair[0].fact.excludes(pair[1].fact)
        (right if true else wrong).update(_groups(pair[0]))
        if is_planted(pair):
            hit.update(_groups(pair[0]))
    return [
        {
            "domain": domain,
            "kind": kind,
            "planted": planted[domain, kind],
            "recall": round(hit[domain, kind] / planted[domain, kind], 4),
            "reported": right[domain, kind] + wrong[domain, kind],
            "precision": round(right[domain, kind] / max(1, right[domain, kind] + wrong[domain, kind]), 4),
        }
        for domain, kind in sorted(planted)
    ]


def _groups(line: Line) -> list[tuple[str, str]]:
    return [(line.domain, line.kind), (line.domain, "all"), ("all", line.kind), ("all", "all")]


def table(half: str, rows: list[dict[str, Any]], cost: dict[str, Any]) -> str:
    """Markdown for people."""
    out = f"\n{half}: {cost['dialogues']:,} dialogues, {cost['compared']:,} pairs compared, {cost['seconds']} s\n"
    out += "\n| domain | kind | planted | recall | reported | precision |\n| --- | --- | ---: | ---: | ---: | ---: |\n"
    for row in rows:
        out += (f"| {row['domain']} | {row['kind']} | {row['planted']} | {row['recall']:.3f} | {row['reported']} "
                f"| {row['precision']:.3f} |\n")  # fmt: skip
    return out


def failures(lines: list[Line], found: list[Pair], most: int) -> str:
    """Some wrong reports, and some planted pairs that were not reported."""
    wrong = [pair for pair in found if not pair[0].fact.excludes(pair[1].fact)]
    seen = {pair[0].bundle for pair in found if is_planted(pair)}
    bundles: dict[int, dict[str, Line]] = collections.defaultdict(dict)
    for line in lines:
        bundles[line.bundle][line.role] = line
    missed = [(b["base"], b["planted"]) for number, b in sorted(bundles.items()) if number not in seen]
    chooser, out = random.Random(0), ""
    for name, pairs in (("wrong", wrong), ("missed", missed)):
        for a, b in chooser.sample(pairs, min(most, len(pairs))):
            out += f"\n{name}: {a.domain} {a.kind}\n  {a.question} {a.answer}\n  {b.question} {b.answer}"
    return out


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=int, default=13, help="planted contradictions for each template")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-sharing", type=int, default=Config().max_sharing, help="as in the filter stage")
    parser.add_argument("--failures", type=int, default=0, help="examples to show, of the development half")
    parser.add_argument("--output", type=Path, help="JSON with every figure")
    given = parser.parse_args()
    results = {}
    for half in HALVES:
        lines = Author(half, given.seed).lines(given.bundles)
        found, cost = reported(lines, given.max_sharing)
        rows = measured(lines, found)
        results[half] = {"cost": cost, "rows": rows}
        print(table(half, rows, cost))
        if given.failures and half == "development":
            print(failures(lines, found, given.failures))
    if given.output:
        given.output.write_text(json.dumps({"seed": given.seed, "halves": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
