"""The index over a real Ray: neither chunks nor the order of passages change what is found."""

from __future__ import annotations

from metier.records import Passage
from metier.retrieval.embedding import Embedder, EmbedderSource
from metier.retrieval.index import Retriever
from metier.stages import index
from tests.fixtures.stage_alone import run_alone

EMBEDDER = EmbedderSource("all-minilm-l6-v2")
PASSAGES = [Passage(uri=f"u{i}", title=f"u{i}", section="", text="The same words.", position=0) for i in range(150)]


def test_an_index_made_by_workers_is_that_of_one_process(ray_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "PART_ROWS", 50)
    alone = run_alone(index.STAGE, index.Config(), tmp_path / "alone", passages=PASSAGES, embedder=EMBEDDER)
    parted = run_alone(index.STAGE, index.Config(), tmp_path / "parted", batch_rows=1, cpus=4,
                       passages=PASSAGES[::-1], embedder=EMBEDDER)  # fmt: skip
    assert alone.manifest.counts.kept == parted.manifest.counts.kept == 150
    assert alone.fingerprint == parted.fingerprint
    embedder = Embedder(EMBEDDER.location)
    found = [Retriever(made.path(index.FOLDER), embedder).search("words", 40) for made in (alone, parted)]
    assert found[0] == found[1]  # all are equally near: the order in the index decides which forty
