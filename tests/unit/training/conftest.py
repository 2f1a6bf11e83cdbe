from __future__ import annotations

import os

import pytest


@pytest.fixture
def fake_gpus(tmp_path, monkeypatch):
    """Puts a driver's tool onto the path that lists GPUs of so many MiB; none: it fails, as without a card."""

    def given(*sizes: int) -> None:
        lines = "".join(f"echo {size}\n" for size in sizes) or "echo no devices were found; exit 9\n"
        tool = tmp_path / "bin" / "nvidia-smi"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/bin/sh\n{lines}")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")

    return given
