"""Ray's session. Only entry points (the command line, job scripts, test fixtures) call this."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

# A pipeline around an engine holds one logical CPU for the engine, one for what reads and one for what writes its rows, so
# with fewer it would wait for ever. More would let more workers start, and each of them imports its libraries first.
LEAST_CPUS = 4


@contextlib.contextmanager
def local_ray() -> Iterator[None]:
    """Joins the cluster that runs this job or that RAY_ADDRESS names; where there is none, starts one here."""
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' own bars; the run has one display
    import ray
    import ray.data

    if ray.is_initialized():
        yield
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    else:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it would write over the progress display
        cpus = max(LEAST_CPUS, os.cpu_count() or 1)
        with _hushed():
            ray.init(
                address="local",
                num_cpus=cpus,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False,
            )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails is raised, and said in one line
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Without what Ray's C++ half says on standard error: that it was told to say nothing."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
