"""The parts of a local service that need no Ray: ports, refusals, and a failed deployment's own words."""

import socket
from types import SimpleNamespace

import pytest

from metier.errors import InputError
from metier.serving.keys import VARIABLE, api_key
from metier.serving.local import _reason, example, free_port, serve_forever
from tests.unit.serving.test_language_model import RELEASE


def status(message: str, deployment: str = ""):
    one = SimpleNamespace(status="DEPLOY_FAILED", message=deployment)
    return SimpleNamespace(message=message, deployments={"LanguageModel": one})


def test_a_free_port_can_be_listened_on():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port("127.0.0.1")))


def test_a_taken_port_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("metier.serving.local.released", lambda settings: RELEASE)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="--port"):
            serve_forever(tmp_path, port=taken.getsockname()[1], say=lambda _: None)


def test_an_open_door_to_the_network_is_refused(tmp_path):
    with pytest.raises(InputError, match="without a key"):
        serve_forever(tmp_path, host="0.0.0.0", require_key=False)


def test_nothing_registered_is_said_in_one_line(tmp_path):
    with pytest.raises(InputError, match="no release is registered"):
        serve_forever(tmp_path)


def test_the_replicas_own_error_is_the_reason():
    trace = (
        "The deployment failed to start 1 times in a row.\nray::ServeReplica.initialize_and_get_metadata()\n"
        "  File \"x.py\", line 1, in y\nRuntimeError: no engine: 1 validation error\n  Value error, unknown type\n"
        "ray.exceptions.RayTaskError: wrapped"
    )  # fmt: skip
    assert _reason(status("", trace)) == "RuntimeError: no engine: 1 validation error Value error, unknown type"
    assert _reason(status("waiting for\n resources")) == "waiting for resources"


def test_the_example_shows_where_the_key_is_and_never_the_key(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    key = api_key(tmp_path)
    shown = example("http://127.0.0.1:1", tmp_path, RELEASE, True)
    assert "serve/api_key" in shown
    assert key not in shown
    monkeypatch.setenv(VARIABLE, "a-key-of-my-own-choice")
    shown = example("http://127.0.0.1:1", tmp_path, RELEASE, True)
    assert f"${VARIABLE}" in shown
    assert "own-choice" not in shown
