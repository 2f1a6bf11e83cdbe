"""Duplicates over a real Ray: neither the workers, nor the order of rows, nor a death in the middle changes what is kept."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from metier.config import Resources
from metier.execution.runner import execute
from metier.execution.step import Step
from metier.lineage.artifact import Artifact, Writer
from metier.lineage.fingerprint import file_digest
from metier.records import Document
from metier.stages.deduplicate import DOCUMENTS, DOCUMENTS_FORM, DocumentConfig, stage_for
from tests.fixtures.stage_alone import Silent, as_table

ROWS = 400


def documents(rows: int = ROWS) -> list[Document]:
    """Of six, one is a copy of an earlier one with a word changed, and one repeats another."""
    chooser, made = random.Random(5), list[Document]()
    for row in range(rows):
        text = " ".join(f"w{chooser.randrange(4000)}" for _ in range(60))
        if row % 6 == 4:
            text = made[row - 4].text.replace(" ", " so ", 1)
        if row % 6 == 5:
            text = made[row - 4].text.upper()
        made.append(Document(uri=f"{row}.txt", title=str(row), text=text))
    return made


def run(folder: Path, rows: list[Document], stage=DOCUMENTS, **resources) -> Artifact:
    given = as_table(folder / "given", rows, Document)
    placed = Resources(**{"batch_rows": 1} | resources)  # chunks of 64 rows
    step = Step(name="deduplicate", stage=stage, config=DocumentConfig(), resources=placed, inputs={})
    return execute(step, {"documents": given}, {"documents": given.fingerprint}, Writer(folder / "out"), Silent())


def bytes_of(made: Artifact) -> dict[str, str]:
    return {entry.path: file_digest(made.folder / entry.path) for entry in made.manifest.files}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """As one process makes it."""
    return run(tmp_path_factory.mktemp("alone"), documents(), batch_rows=1000)


def test_all_planted_copies_go(alone):
    assert alone.manifest.counts.rejected == {"exact_duplicate": 66, "near_duplicate": 66}


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_changes_nothing(ray_cluster, tmp_path, alone, workers):
    made = run(tmp_path, documents(), cpus=4 / workers)  # of the four that the session has
    assert len(made.table_files()) == 7
    assert made.fingerprint == alone.fingerprint


def test_the_order_of_rows_changes_nothing(ray_cluster, tmp_path, alone):
    assert run(tmp_path, random.Random(1).sample(documents(), ROWS)).fingerprint == alone.fingerprint


def test_a_worker_that_dies_in_the_middle_changes_no_byte(ray_cluster, tmp_path):
    mark = tmp_path / "died"

    def dying(table):
        if "id" in table.column_names and not mark.exists():  # in the second reading: signatures are made by then
            mark.touch()
            os._exit(1)
        return DOCUMENTS_FORM.texts(table)

    stage = stage_for(
        "deduplicate_documents", "documents", dataclasses.replace(DOCUMENTS_FORM, texts=dying), DocumentConfig
    )
    hurt = run(tmp_path / "hurt", documents(), stage)
    assert mark.exists()
    assert bytes_of(hurt) == bytes_of(run(tmp_path / "whole", documents()))


ON_TWO_NODES = """
import dataclasses, json, sys, threading, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from metier.stages.deduplicate import DOCUMENTS_FORM, DocumentConfig, stage_for
from tests.distributed.test_deduplicate import bytes_of, documents, run

folder = Path(sys.argv[1])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
lost = cluster.add_node(num_cpus=2)
cluster.wait_for_nodes()
ray.init(address=cluster.address, log_to_driver=False)
mark, gone = folder / "reached", folder / "gone"

def waiting(table):
    if "id" in table.column_names:  # in the second reading: signatures and buckets lie on both nodes
        mark.touch()
        while not gone.exists():
            time.sleep(0.1)
    return DOCUMENTS_FORM.texts(table)

def kill():
    while not mark.exists():
        time.sleep(0.1)
    cluster.remove_node(lost, allow_graceful=False)
    gone.touch()

threading.Thread(target=kill, daemon=True).start()
form = dataclasses.replace(DOCUMENTS_FORM, texts=waiting)
stage = stage_for("deduplicate_documents", "documents", form, DocumentConfig)
made = run(folder / "hurt", documents(), stage)
assert gone.exists()
(folder / "bytes.json").write_text(json.dumps(bytes_of(made)))  # Ray prints of its own
"""


def test_a_node_that_dies_in_the_middle_changes_no_byte(ray_cluster, tmp_path):
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root), str(root / "platform")])
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", ON_TWO_NODES, str(tmp_path)], capture_output=True, text=True,
                          env=environment, cwd=root, timeout=240)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "bytes.json").read_text()) == bytes_of(run(tmp_path / "whole", documents()))
