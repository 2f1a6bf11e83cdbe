"""Ray's session. Only entry points (the command line, job scripts, test fixtures) call this."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

# ray.data.llm's template, tokenise, engine and detokenise stages hold a logical CPU each, so on two real cores a
# pipeline of them would wait for ever. Logical CPUs only bound how many tasks start at once.
LOGICAL_CPUS = 8


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
        cpus = max(LOGICAL_CPUS, os.cpu_count() or 1)
        ray.init(
            address="local", num_cpus=cpus, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
        )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails is raised, and said in one line
    try:
        yield
    finally:
        ray.shutdown()
