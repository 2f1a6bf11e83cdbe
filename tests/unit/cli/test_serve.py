"""`metier serve` before it starts anything: what can't be served is refused in one line. Serving itself: tests/distributed."""

from __future__ import annotations

from tests.fixtures.command_line import metier, refused


def test_a_store_without_a_release_is_refused_with_the_way_to_one(tmp_path):
    assert "no release is registered" in refused("serve", "--store", tmp_path)


def test_an_open_door_stays_on_the_loopback(tmp_path):
    assert "without a key" in refused("serve", "--store", tmp_path, "--host", "0.0.0.0", "--no-key")


def test_the_help_says_where_the_key_is_and_how_to_stop():
    out = metier("serve", "--help").out
    assert "serve/api_key" in out
    assert "Ctrl-C" in out
