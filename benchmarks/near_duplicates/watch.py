"""What a piece of work cost this process and all that it started: CPU seconds, wall clock, and the most memory of each kind."""

from __future__ import annotations

import threading
import time

import psutil

MIB = 2**20


class Watch:
    """CPU seconds of this process and all below it, and the most memory of its own that each kind held."""

    def __init__(self) -> None:
        self.peak: dict[str, float] = {}
        self._done = threading.Event()

    def cpu(self) -> float:
        """User and system seconds, those of processes that have ended included."""
        total = 0.0
        for process in self._all():
            try:
                total += sum(process.cpu_times()[:4])
            except psutil.Error:
                continue
        return total

    def _all(self) -> list[psutil.Process]:
        own = psutil.Process()
        return [own, *own.children(recursive=True)]

    def _look(self) -> None:
        while not self._done.wait(0.2):
            for process in self._all():
                try:
                    memory, name = process.memory_info(), process.name()
                except psutil.Error:
                    continue
                kind = (
                    "driver" if process.pid == psutil.Process().pid else "worker" if name.startswith("ray::") else "ray"
                )
                self.peak[kind] = max(self.peak.get(kind, 0), (memory.rss - memory.shared) / MIB)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._before, self._began = self.cpu(), time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.spent = time.perf_counter() - self._began, self.cpu() - self._before
        self._done.set()
        self._thread.join()
