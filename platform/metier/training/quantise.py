"""Starts llm-compressor in its own environment: it shares no version of its parts with the vLLM that serves.

The work itself is `quantise_worker.py`, which that environment's Python runs as a plain file. It is deterministic on a
CPU: the same model, rows and seed give the same bytes.
"""

from __future__ import annotations

import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metier.errors import MachineError, StepError
from metier.inference.probe import WeightFormat

ENVIRONMENT = ".venv-quantise"
VARIABLE = "METIER_QUANTISE_PYTHON"
WORKER = Path(__file__).with_name("quantise_worker.py")
GROUP_SIZES = (128, 64, 32)
LAST_LINES = 30
BESIDE_WEIGHTS = ("token*.json", "special_tokens_map.json", "vocab.*", "merges.txt", "*.model", "chat_template.jinja",
                  "generation_config.json")  # fmt: skip

Progress = Callable[[int, int, str], None]


def find_python() -> Path | None:
    """The quantisation environment's Python: METIER_QUANTISE_PYTHON, or the folder beside the running environment."""
    named = os.environ.get(VARIABLE)
    python = Path(named) if named else Path(sys.prefix).parent / ENVIRONMENT / "bin" / "python"
    return python if python.exists() else None


def quantise(
    model: Path, output: Path, form: WeightFormat, rows: Sequence[Sequence[int]], seed: int, progress: Progress
) -> dict[str, Any]:
    """Writes `model` in the format `form` into `output`; `rows` are token ids to calibrate on. Gives what was done.

    Raises MachineError without the quantisation environment, StepError with the worker's last words when it fails.
    """
    python = find_python()
    if python is None:
        raise MachineError(f"quantisation needs its own environment: make quantise-env, or set {VARIABLE}")
    job = {
        "model": str(model),
        "output": str(output),
        "format": form,
        "group_sizes": GROUP_SIZES,
        "rows": rows,
        "seed": seed,
        "parent": os.getpid(),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        done = _run(python, file, progress)
    for pattern in BESIDE_WEIGHTS:
        for found in model.glob(pattern):
            shutil.copy(found, output)
    return done


def _run(python: Path, job: Path, progress: Progress) -> dict[str, Any]:
    """Runs the worker; its progress lines are JSON on stdout, everything that it says otherwise is kept for an error."""
    last: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
    made: dict[str, Any] = {}
    command = [str(python), "-I", str(WORKER), str(job)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=_environment()
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = _fact(line)
                if said is None:
                    last.append(line.rstrip())
                elif "done" in said:
                    progress(said["done"], said["total"], said["what"])
                else:
                    made = said
        except BaseException:  # interrupted: the worker must not go on alone
            process.kill()
            raise
    if process.returncode != 0 or not made:
        words = " | ".join(line for line in list(last)[-3:] if line) or "it said nothing"
        raise StepError(f"quantisation ended with code {process.returncode}: {words}")
    return made


def _fact(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        said = json.loads(line)
    except json.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None


def _environment() -> dict[str, str]:
    """The caller's, less what would lead the worker's Python back into this environment. No hub is reached."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "RAY_", "OMP_"))}
    # Threads that spin while they wait made this three times slower on a shared machine.
    return kept | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_WAIT_POLICY": "PASSIVE"}
