"""The registry and the release in production, through a real store and a real MLflow database."""

import json
import shutil

import pytest

from metier.errors import InputError
from metier.serving.registry import DATABASE, production, register_release
from metier.serving.release import OUTPUT, open_release, production_release
from tests.fixtures.tiny_release import make_tiny_release


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    make_tiny_release(root)
    return root


def test_an_empty_store_says_what_to_do_and_stays_empty(tmp_path):
    with pytest.raises(InputError, match="metier run"):
        production_release(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_release_in_production_is_opened(store):
    release = production_release(store)
    assert (release.name, release.key, release.format) == ("tiny", "register/one", "none")
    assert (release.model / "model.safetensors").exists()
    assert release.max_answer_tokens == 1024
    assert production_release(store, "tiny") == release


def test_a_store_may_be_moved(store, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(store, moved)
    assert production_release(moved).model.is_relative_to(moved)


def test_an_unknown_model_is_refused_with_the_known_ones(store):
    with pytest.raises(InputError, match="tiny"):
        production(store, "other")


def test_another_release_takes_the_alias_and_the_old_content_keeps_its_version(store, tmp_path):
    here = tmp_path / "store"
    shutil.copytree(store, here)
    assert register_release(here, "tiny", "register/two", "other-content", {}).number == 2
    assert production(here).release == "register/two"
    tag = production(store)
    back = register_release(here, "tiny", "register/one", _content(here), {})
    assert (back.number, production(here)) == (1, tag)


def _content(store):
    from metier.lineage.fingerprint import digest

    return digest(json.loads((store / "register/one" / OUTPUT).read_text()))


def test_several_models_must_be_named(store, tmp_path):
    here = tmp_path / "store"
    here.mkdir()
    shutil.copy(store / DATABASE, here)
    register_release(here, "second", "register/x", "c", {})
    with pytest.raises(InputError, match="second, tiny"):
        production(here)


def test_a_missing_part_is_named(store, tmp_path):
    here = tmp_path / "store"
    shutil.copytree(store, here)
    shutil.rmtree(here / "merge")
    with pytest.raises(InputError, match="merge"):
        production_release(here)
    with pytest.raises(InputError, match="no release"):
        open_release(here, "register/none")


def test_another_embedder_than_the_indexs_is_refused(store, tmp_path):
    here = tmp_path / "store"
    shutil.copytree(store, here)
    path = here / "register/one" / OUTPUT
    said = json.loads(path.read_text())
    said["contents"]["embedder"] = "all-minilm-l6-v2@0.0.1"
    path.write_text(json.dumps(said))
    with pytest.raises(InputError, match=r"0\.0\.1"):
        production_release(here)
