"""Folders here and in an object store: the same files under the same names, and what can't be listed."""

from __future__ import annotations

import pytest

from metier.errors import InputError
from metier.lineage.folder import entries, file_or_entries, opened, size_of
from tests.fixtures.object_store import object_store, put

FILES = {
    "a.md": b"# Alpha\n",
    "deep/b.txt": b"beta",
    "deep/down/c d%20é#?.md": b"gamma",
    ".hidden/x.md": b"never",
    "deep/.y.md": b"never",
}


@pytest.fixture(scope="module")
def environment():
    with object_store() as variables:
        yield variables


@pytest.fixture
def bucket(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    put("corpus", {f"docs/{name}": data for name, data in FILES.items()})
    return "s3://corpus/docs"


@pytest.fixture
def local(tmp_path):
    for name, data in FILES.items():
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return str(tmp_path / "docs")


@pytest.mark.parametrize(
    "glob", ["**/*", "*", "*.md", "deep/*", "deep/**/*", "**/*.md", "**/down/*", "*/b.t?t", "none/*"]
)
def test_an_object_store_lists_what_a_folder_lists(bucket, local, glob):
    assert [e.name for e in entries(bucket, glob)] == [e.name for e in entries(local, glob)]


def test_every_file_opens_by_its_place(bucket, local):
    for folder in (bucket, bucket + "/", local):
        found = {}
        for entry in entries(folder):
            with opened(entry.place) as file:
                assert size_of(file) == len(FILES[entry.name])
                found[entry.name] = file.read()
        assert found == {name: data for name, data in FILES.items() if "/." not in f"/{name}"}


def test_one_file_is_a_place_too(bucket, local):
    for folder in (bucket, local):
        (entry,) = file_or_entries(f"{folder}/deep/b.txt")
        assert entry.name == "b.txt"
        with opened(entry.place) as file:
            assert file.read() == b"beta"
        assert len(file_or_entries(folder)) == 3


def test_the_fingerprint_of_an_object_changes_with_it(bucket):
    before = {e.name: e.fingerprint for e in entries(bucket)}
    assert {e.name: e.fingerprint for e in entries(bucket)} == before
    put("corpus", {"docs/a.md": b"# Alpha, longer\n"})
    after = {e.name: e.fingerprint for e in entries(bucket)}
    assert {name for name in before if before[name] != after[name]} == {"a.md"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://nowhere/docs", "can't be listed"),
        ("s3://corpus/none", "there is no such folder"),
        ("s3://corpus/docs?what=1", "can't be listed"),
    ],
)
def test_what_can_not_be_listed_is_refused_in_one_line(bucket, url, said):
    with pytest.raises(InputError, match=said) as fault:
        entries(url)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("glob", ["", "/etc/*", "a**b", "a//b"])
def test_a_glob_that_is_none_is_refused_for_objects_too(glob):
    with pytest.raises(InputError, match="glob"):
        entries("s3://corpus/docs", glob)


def test_an_object_that_is_gone_raises_what_a_missing_file_raises(bucket, tmp_path):
    for place in (f"{bucket}/gone.md", str(tmp_path / "gone.md")):
        with pytest.raises(FileNotFoundError):
            opened(place)


def test_gs_is_googles_store():
    from metier.lineage import folder

    assert folder._store("gs://anonymous@bucket/a/b")[0].type_name == "gcs"
