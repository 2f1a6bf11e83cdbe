"""What this machine's engine can really do: which number format is right, which quantised formats it executes.

The answers come from the processor and from the engine's own kernels, never from a table of machines.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

from metier.inference.engines import Dtype

WeightFormat = Literal["w4a16", "w8a8"]
CPUINFO = Path("/proc/cpuinfo")
PROBE_SECONDS = 180


def cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """The processor's feature flags; none where the system does not say."""
    if not cpuinfo.exists():
        return frozenset()
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):  # x86, ARM
            return frozenset(value.split())
    return frozenset()


def computes_bfloat16(flags: frozenset[str]) -> bool:
    """Whether the processor multiplies bfloat16 itself. Where it doesn't, vLLM's CPU build gave wrong answers in it."""
    return "avx512_bf16" in flags or "bf16" in flags


def engine_dtype(dtype: Dtype, *, gpus: float = 0, flags: frozenset[str] | None = None) -> str:
    """The number format that vLLM is started with. On a GPU `auto` stays: vLLM knows the card."""
    if dtype != "auto" or gpus:
        return dtype
    return "bfloat16" if computes_bfloat16(cpu_flags() if flags is None else flags) else "float32"


@functools.cache
def can_execute(weights: WeightFormat) -> tuple[bool, str]:
    """Whether the installed vLLM really executes a quantised format here, and the reason in words.

    A fresh process runs the engine's own kernel on a small matrix and compares the product (a few seconds).
    """
    if importlib.util.find_spec("vllm") is None:
        return False, "vLLM is not installed"
    try:
        run = subprocess.run(
            [sys.executable, "-m", "metier.inference.kernels", weights],
            capture_output=True, text=True, timeout=PROBE_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False, f"vLLM's {weights} kernel did not answer within {PROBE_SECONDS} s"
    lines = run.stdout.strip().splitlines()
    if run.returncode != 0 or not lines:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        return False, f"vLLM's {weights} kernel ended with code {run.returncode}: {last}"
    said = json.loads(lines[-1])
    return bool(said["executes"]), str(said["why"])
