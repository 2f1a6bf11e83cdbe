"""The whole stage, reading and writing included: cost per document as the table grows, and what Ray adds.

    python -m benchmarks.near_duplicates.scaling --rows 10000 --rows 100000 --rows 1000000

For each size the stage runs twice, each in a process of its own: bare, in that process alone; and over a Ray that was started
there before and has done a small table. CPU seconds are those of the process and of all that it started. Both must make the
same rows. `--juicer PYTHON`: Data-Juicer's deduplicator on Ray beside them, by an interpreter that has it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import described
from benchmarks.near_duplicates.corpus import make
from benchmarks.near_duplicates.watch import Watch

WARM = 40_000
MOST_JUICER = 100_000
BARE_ROWS, RAY_ROWS = 100_000, 256  # batch_rows: one chunk, or chunks of 16,384 rows


def as_artifact(texts: Path, folder: Path) -> Any:
    """The documents as the output of an earlier stage."""
    from metier.lineage.artifact import Shard, Writer
    from metier.lineage.fingerprint import rows_total
    from metier.lineage.manifest import Counts
    from metier.lineage.shards import ROWS_PER_GROUP, schema_of
    from metier.records import Document

    schema, writer, total, rows = schema_of(Document), Writer(folder), 0, 0
    with pq.ParquetFile(texts) as file, pq.ParquetWriter(folder / "kept.parquet", schema, compression="zstd") as out:
        for batch in file.iter_batches(ROWS_PER_GROUP):
            size = batch.num_rows
            columns: dict[str, Any] = {}
            for field in schema:
                plain = [] if pa.types.is_list(field.type) else None if pa.types.is_struct(field.type) else ""
                columns[field.name] = pa.array([plain] * size, field.type)
            columns |= {"id": batch["id"], "root_id": batch["id"], "uri": batch["id"], "text": batch["text"]}
            out.write_table(pa.table(columns, schema=schema))
            total, rows = total + rows_total(batch["id"].to_pylist()), rows + size
    writer.add(Shard("kept.parquet", rows, total))
    return writer.commit(stage="given", step="given", revision=1, config={}, inputs={}, counts=Counts())


def run_one(way: str, warm: Path, texts: Path) -> dict[str, Any]:
    """The stage over the file, after a run over the warm one; gives what it cost and what it made."""
    import contextlib

    from metier.config import Resources
    from metier.execution.runner import execute
    from metier.execution.session import local_ray
    from metier.execution.step import Step
    from metier.lineage.artifact import Writer
    from metier.stages.deduplicate import DOCUMENTS, DocumentConfig

    class Silent:
        def started(self, step: Any) -> None: ...
        def progress(self, *_: Any) -> None: ...
        def finished(self, *_: Any) -> None: ...

    resources = Resources(batch_rows=BARE_ROWS if way == "bare" else RAY_ROWS)
    step = Step(name="deduplicate", stage=DOCUMENTS, config=DocumentConfig(), resources=resources, inputs={})

    def run(folder: Path, given: Any) -> Any:
        return execute(step, {"documents": given}, {"documents": given.fingerprint}, Writer(folder), Silent())

    session: Callable[[], Any] = local_ray if way == "ray" else contextlib.nullcontext
    with tempfile.TemporaryDirectory() as scratch, session():
        place = Path(scratch)
        run(place / "warm-out", as_artifact(warm, place / "warm"))
        given = as_artifact(texts, place / "given")
        with Watch() as watch:
            made = run(place / "out", given)
        return {"way": way, "cpu": watch.spent, "wall": watch.wall, "peak_mib": watch.peak,
                "fingerprint": made.fingerprint, "counts": made.manifest.counts.model_dump()}  # fmt: skip


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, action="append", help="documents; repeated")
    parser.add_argument("--folder", type=Path, default=Path(".benchmarks"), help="for the documents")
    parser.add_argument("--output", type=Path, help="JSON with every figure, the machine and the versions")
    parser.add_argument("--juicer", metavar="PYTHON", help="run Data-Juicer beside them, up to 100,000 documents")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(run_one(given.one[0], Path(given.one[1]), Path(given.one[2]))))
        return
    lines = []
    print("| documents | bare CPU s | per document | Ray CPU s | ratio | Ray wall s | driver MiB | worker MiB "
          "| Data-Juicer CPU s |")  # fmt: skip
    print("|" + " --- |" * 9)
    for rows in given.rows or [10_000]:
        warm, texts = (make(given.folder, n)[0] for n in (WARM, rows))
        commands = {
            way: [sys.executable, "-m", "benchmarks.near_duplicates.scaling", "--one", way] for way in ("bare", "ray")
        }
        if given.juicer and rows <= MOST_JUICER:
            commands["juicer"] = [given.juicer, "-m", "benchmarks.near_duplicates.juicer_ray"]
        made = {}
        for way, command in commands.items():
            done = subprocess.run([*command, str(warm), str(texts)], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{way} failed:\n{done.stderr[-2000:]}")
            made[way] = json.loads(done.stdout.splitlines()[-1])
        if made["bare"]["fingerprint"] != made["ray"]["fingerprint"]:
            raise SystemExit(f"{rows}: the two ways made different rows")
        bare, ray = made["bare"], made["ray"]
        juicer = (
            f"{made['juicer']['cpu']:.1f} ({made['juicer']['cpu'] / ray['cpu']:.1f} times)" if "juicer" in made else ""
        )
        print(f"| {rows:,} | {bare['cpu']:.1f} | {bare['cpu'] / rows * 1e6:.0f} µs | {ray['cpu']:.1f} "
              f"| {ray['cpu'] / bare['cpu']:.2f} | {ray['wall']:.1f} | {ray['peak_mib'].get('driver', 0):.0f} "
              f"| {ray['peak_mib'].get('worker', 0):.0f} | {juicer} |", flush=True)  # fmt: skip
        lines.append({"rows": rows, **made})
    if given.output:
        given.output.write_text(json.dumps({"machine": described(), "lines": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
