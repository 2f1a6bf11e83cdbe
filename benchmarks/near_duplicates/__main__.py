"""Near-duplicates: Metier's operator beside its peers, on the same documents in the same run.

    python -m benchmarks.near_duplicates --rows 20000 --rows 100000 --runs 3

Each engine runs in a process of its own, once on a few documents to load what it compiles, then on the file: CPU seconds of
the process and all its threads, from opening the file to the last cluster.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import described
from benchmarks.near_duplicates.corpus import make
from benchmarks.near_duplicates.engines import ENGINES
from benchmarks.near_duplicates.quality import measured

WARM = 300


def cpu_seconds() -> float:
    """Of this process, its threads and the processes that it waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(s.ru_utime + s.ru_stime for s in spent)


def run_one(engine: str, warm: Path, texts: Path, answer: Path) -> None:
    """In a process of its own: the engine's answer into a file, what it cost to standard output."""
    ENGINES[engine](warm)
    cpu, wall = cpu_seconds(), time.perf_counter()
    kept_by = ENGINES[engine](texts)
    cost = {"cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - wall}
    cost["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    np.save(answer, kept_by)
    print(json.dumps(cost))


def run_all(rows: int, engines: list[str], runs: int, pythons: dict[str, str], folder: Path) -> list[dict[str, Any]]:
    """A line of the table for each engine; runs are interleaved, so that a busy minute hits all."""
    warm, _ = make(folder, WARM)
    texts, truth = make(folder, rows)
    costs: dict[str, list[dict[str, float]]] = {engine: [] for engine in engines}
    answers: dict[str, np.ndarray] = {}
    for _ in range(runs):
        for engine in engines:
            with tempfile.TemporaryDirectory() as scratch:
                answer = Path(scratch) / "answer.npy"
                command = [pythons.get(engine, sys.executable), "-m", "benchmarks.near_duplicates", "--one", engine,
                           str(warm), str(texts), str(answer)]  # fmt: skip
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    raise SystemExit(f"{engine} failed:\n{done.stderr[-2000:]}")
                costs[engine].append(json.loads(done.stdout.splitlines()[-1]))
                answers[engine] = np.load(answer)
            print(f"{engine} {rows}: {costs[engine][-1]}", file=sys.stderr)
    lines = []
    for engine in engines:
        cpu = [cost["cpu"] for cost in costs[engine]]
        lines.append({"engine": engine, "rows": rows, "cpu": cpu, "wall": [c["wall"] for c in costs[engine]],
                      "rows_per_cpu_second": rows / statistics.median(cpu),
                      "peak_gib": max(c["peak_gib"] for c in costs[engine]),
                      **measured(texts, truth, answers[engine])})  # fmt: skip
    return lines


def table(lines: list[dict[str, Any]]) -> str:
    """The lines as Markdown."""
    head = "| engine | documents | per CPU second | CPU s | wall s | recall | precision | removed (bereft) of ideal |\n"
    out = head + "|" + " --- |" * 8 + "\n"
    for line in lines:
        cpu, wall = (statistics.median(line[name]) for name in ("cpu", "wall"))
        out += (f"| {line['engine']} | {line['rows']:,} | {line['rows_per_cpu_second']:,.0f} | {cpu:.2f} | {wall:.2f} "
                f"| {line['recall']:.3f} | {line['precision']:.3f} | {line['removed']:,} ({line['bereft']:,}) of "
                f"{line['ideal']:,} |\n")  # fmt: skip
    return out


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, action="append", help="documents; repeated")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engine", action="append", choices=ENGINES, help="repeated; all without it")
    parser.add_argument(
        "--python", action="append", default=[], metavar="ENGINE=PATH", help="an engine's own interpreter"
    )
    parser.add_argument("--folder", type=Path, default=Path(".benchmarks"), help="for the documents")
    parser.add_argument("--output", type=Path, help="JSON with every figure, the machine and the versions")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        engine, *paths = given.one
        run_one(engine, *map(Path, paths))
        return
    pythons = dict(pair.split("=", 1) for pair in given.python)
    lines = [line for rows in given.rows or [20_000] for line in
             run_all(rows, given.engine or list(ENGINES), given.runs, pythons, given.folder)]  # fmt: skip
    print(table(lines))
    if given.output:
        given.output.write_text(json.dumps({"machine": described(), "lines": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
