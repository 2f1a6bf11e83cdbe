"""Training on two nodes, one of which dies: the rest goes on from the bucket's newest checkpoint, on the same loss curve."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metier.training.engine import Peers
from metier.training.worker import RESULT, work
from tests.fixtures.object_store import object_store, put
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.training_job import make_job

EPOCHS = 12
ON_TWO_NODES = """
import json, sys, threading
from pathlib import Path
import ray
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
lost = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
from metier.config import TrainResources
from metier.execution import session, training
from metier.training.course import Point

import os
os.environ["RAY_ADDRESS"] = cluster.address
folder, checkpoints = Path(sys.argv[1]), 0
told, killed = [], threading.Event()

def hear(one):
    told.append([type(one).__name__, one.step])
    if sum(kind == "Point" for kind, _ in told) == 2 and not killed.is_set():
        killed.set()
        cluster.remove_node(lost, allow_graceful=False)

with session.local_ray():
    result = training.train_in(folder, TrainResources(workers=2, min_workers=1), hear)
(folder / "told.json").write_text(json.dumps({"told": told, "killed": killed.is_set()}))
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), ["The ledger limit is 100 units."])


@pytest.mark.timeout(400)
def test_a_node_that_dies_leaves_the_loss_curve_as_it_is(base, tmp_path):
    whole = make_job(tmp_path / "whole", base, epochs=EPOCHS)
    work(whole, Peers(), "cpu")
    expected = json.loads((whole / RESULT).read_text())["history"]
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root), str(root / "platform")])
    with object_store() as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.items():
            patch.setenv(name, value)
        put("checkpoints", {})
        job = make_job(tmp_path / "job", base, epochs=EPOCHS, checkpoints="s3://checkpoints/run")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"PYTHONPATH": paths}
        done = subprocess.run([sys.executable, "-c", ON_TWO_NODES, str(job)], capture_output=True, text=True,
                              env=environment, cwd=root, timeout=360)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((job / RESULT).read_text())["history"]
    course = json.loads((job / "told.json").read_text())
    assert course["killed"]
    steps = [step for kind, step in course["told"] if kind == "StepReport"]
    assert steps.count(1) == 1  # it went on behind a checkpoint, not from the beginning
    assert [row[0] for row in found["losses"]] == [row[0] for row in expected["losses"]]
    for (_, mine, _), (_, theirs, _) in zip(found["losses"], expected["losses"], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-5)
