"""Training an 8B model on one GPU: Metier's loop beside its peers, on the same token lists in the same run.

    python -m benchmarks.training --model llama-8b --output training.json

Real tokens a second: padding never counts. Each engine runs in a process of its own. The peers need their own packages
(requirements/gpu-peers.in); without them `--engine` chooses ours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import described

WARM, STEPS = 6, 16
PACKAGES = ("torch", "triton", "transformers", "peft", "trl", "liger-kernel", "bitsandbytes", "unsloth")
OURS: dict[str, dict[str, Any]] = {
    "metier qlora": {"method": "qlora"},
    "metier qlora, 24 GB, rows of 4,096": {"method": "qlora", "memory_gb": 24, "piece_tokens": 4096},
    "metier qlora, 12 GB": {"method": "qlora", "memory_gb": 12},
    "metier lora": {"method": "lora"},
    "metier full": {"method": "full", "learning_rate": 1e-5},
}
PEERS = ("trl", "trl-liger-packing", "unsloth", "unsloth-packing")


def run_one(engine: str, model: Path) -> dict[str, Any]:
    """In a process of its own."""
    if engine in OURS:
        from benchmarks.training import ours

        return ours.run(model, warm=WARM, steps=STEPS, **OURS[engine])
    from benchmarks.training import peers

    return peers.run(engine, model, WARM, STEPS)


def line_of(engine: str, model: Path) -> dict[str, Any]:
    """One engine's figures; what went wrong, where it did not come to an end."""
    command = [sys.executable, "-m", "benchmarks.training", "--one", engine, "--model", str(model)]
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "UNSLOTH_DISABLE_STATISTICS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | quiet)
    if done.returncode:
        return {"engine": engine, "failed": (done.stderr.strip().splitlines() or ["no word"])[-1][:300]}
    return {"engine": engine, **json.loads(done.stdout.splitlines()[-1])}


def table(lines: list[dict[str, Any]]) -> str:
    """The lines as Markdown."""
    out = "| engine | real tokens/s | peak GiB | predicted GiB | how |\n| --- | --- | --- | --- | --- |\n"
    for line in lines:
        if "failed" in line:
            out += f"| {line['engine']} | failed | | | {line['failed']} |\n"
            continue
        predicted = line.get("predicted_gib", "")
        out += (
            f"| {line['engine']} | {line['tokens_per_second']:,} | {line['peak_gib']} | {predicted} | {line['fit']} |\n"
        )
    return out


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, required=True, help="folder for the random-weight model; made where missing"
    )
    parser.add_argument("--engine", action="append", choices=[*OURS, *PEERS], help="repeated; all without it")
    parser.add_argument("--output", type=Path, help="JSON with every figure, the machine and the versions")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(run_one(given.one, given.model)))
        return
    import torch

    machine = described(PACKAGES) | {"gpu": torch.cuda.get_device_name(0)}
    make = f"from pathlib import Path; from benchmarks.training.corpus import make_model; make_model(Path({str(given.model)!r}))"
    subprocess.run([sys.executable, "-c", make], check=True)
    lines = []
    for engine in given.engine or [*OURS, *PEERS]:
        lines.append(line_of(engine, given.model))
        print(lines[-1], file=sys.stderr, flush=True)
        if given.output:  # after each engine: the next one may take the machine down
            given.output.write_text(json.dumps({"machine": machine, "lines": lines}, indent=1) + "\n")
    print(table(lines))
    print(json.dumps(machine))


if __name__ == "__main__":
    main()
