"""The index stage: an artifact that is searched, known by its content and not by its bytes."""

from __future__ import annotations

import pytest

from metier.errors import InputError
from metier.records import Passage
from metier.retrieval.embedding import Embedder, EmbedderSource
from metier.retrieval.index import Retriever
from metier.stages import index
from tests.fixtures.stage_alone import run_alone

EMBEDDER = EmbedderSource("all-minilm-l6-v2")


def passages(*texts):
    return [Passage(uri=t, title=t, section="", text=t, position=0) for t in texts]


def built(folder, rows):
    return run_alone(index.STAGE, index.Config(), folder, passages=rows, embedder=EMBEDDER)


def test_what_was_indexed_is_found_and_the_same_passages_are_the_same_content(tmp_path):
    one, again = built(tmp_path / "a", passages("rain", "snow")), built(tmp_path / "b", passages("snow", "rain"))
    assert one.manifest.counts.kept == 2
    assert one.fingerprint == again.fingerprint
    assert one.fingerprint != built(tmp_path / "c", passages("rain", "hail")).fingerprint
    found = Retriever(one.path(index.FOLDER), Embedder(EMBEDDER.location)).search("snow", 1)
    assert [p.text for p in found] == ["snow"]


def test_no_passages_is_refused(tmp_path):
    with pytest.raises(InputError, match="needs passages"):
        built(tmp_path, [])
