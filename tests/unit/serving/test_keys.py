"""The bearer token: made once, private, from the environment where it is set, compared as a digest."""

import stat

import pytest

from metier.errors import InputError
from metier.serving.keys import VARIABLE, api_key, authorised, key_digest, key_file


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    key = api_key(tmp_path)
    assert len(key) > 40
    assert api_key(tmp_path) == key
    assert stat.S_IMODE(key_file(tmp_path).stat().st_mode) == 0o600
    assert [p.name for p in key_file(tmp_path).parent.iterdir()] == ["api_key"]


def test_two_stores_have_two_keys(tmp_path):
    assert api_key(tmp_path / "a") != api_key(tmp_path / "b")


def test_the_environment_wins_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "a-key-of-my-own-choice")
    assert api_key(tmp_path) == "a-key-of-my-own-choice"
    assert not key_file(tmp_path).exists()


def test_a_short_key_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "1234")
    with pytest.raises(InputError, match=VARIABLE):
        api_key(tmp_path)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer other", "Basic right-key", "right-key", "bearer ключ"]
)
def test_only_the_bearer_of_the_key_is_let_in(header):
    assert authorised("Bearer right-key", key_digest("right-key"))
    assert authorised("bearer right-key", key_digest("right-key"))
    assert not authorised(header, key_digest("right-key"))
