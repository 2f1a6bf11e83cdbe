"""The registry on a real MLflow over SQLite. How a release behind it is opened is tested with `metier.serving.release`."""

from __future__ import annotations

import shutil

import pytest

from metier.errors import InputError
from metier.serving.registry import (
    ALIAS,
    CONTENT,
    DATABASE,
    LONGEST_TAG,
    RELEASE,
    Version,
    production,
    register_release,
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A store whose database is laid out (which takes MLflow seconds) and holds one model."""
    store = tmp_path_factory.mktemp("store")
    register_release(store, "first", "register/a", "content-a", {"format": "none"})
    return store


@pytest.fixture
def store(empty, tmp_path):
    shutil.copy(empty / DATABASE, tmp_path)
    return tmp_path


def client(store):
    from mlflow import MlflowClient

    uri = f"sqlite:///{store / DATABASE}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def test_the_first_release_is_version_one_in_production(store):
    assert production(store) == Version("first", 1, "register/a")
    assert production(store, "first") == production(store)


def test_new_content_is_a_new_version_and_takes_production(store):
    assert register_release(store, "first", "register/b", "content-b", {}).number == 2
    assert production(store) == Version("first", 2, "register/b")


def test_the_same_content_is_the_same_version_with_its_new_place_and_tags(store):
    again = register_release(store, "first", "register/moved", "content-a", {"format": "w8a8"})
    assert again.number == 1
    tags = client(store).get_model_version("first", "1").tags
    assert (tags[RELEASE], tags[CONTENT], tags["format"]) == ("register/moved", "content-a", "w8a8")
    assert production(store).release == "register/moved"


def test_going_back_to_an_older_release_brings_no_new_version(store):
    register_release(store, "first", "register/b", "content-b", {})
    register_release(store, "first", "register/a", "content-a", {})
    assert production(store).number == 1
    assert len(client(store).search_model_versions("name='first'")) == 2


def test_the_same_content_under_another_name_is_another_model(store):
    assert register_release(store, "second", "register/a", "content-a", {}).number == 1
    assert production(store, "second").name == "second"


def test_one_of_several_models_must_be_named(store):
    register_release(store, "second", "register/b", "b", {})
    with pytest.raises(InputError, match="first, second"):
        production(store)
    with pytest.raises(InputError, match="no model 'third' in production; there are: first, second"):
        production(store, "third")


def test_a_model_without_the_alias_is_not_served(store):
    client(store).delete_registered_model_alias("first", ALIAS)
    with pytest.raises(InputError, match=f"the alias {ALIAS}"):
        production(store)


def test_a_store_without_a_registry_stays_without(tmp_path):
    with pytest.raises(InputError, match="no release is registered"):
        production(tmp_path)
    assert not (tmp_path / DATABASE).exists()


def test_a_tag_that_is_too_long_for_the_registry_is_cut(store):
    register_release(store, "first", "register/c", "content-c", {"why": "x" * 2 * LONGEST_TAG})
    assert client(store).get_model_version("first", "2").tags["why"] == "x" * LONGEST_TAG


def test_a_quote_in_a_name_does_no_harm(store):
    with pytest.raises(InputError, match="first"):
        production(store, "first' or '1'='1")
