"""Fixtures that every test may use. Ray is started here and in entry points, nowhere else."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach a model hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)  # how long an example takes says nothing there
settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def ray_cluster():
    """A local Ray, as the command line starts it."""
    from metier.execution.session import local_ray

    with local_ray():
        yield
