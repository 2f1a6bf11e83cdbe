"""Two whole stories, made once: reading them back costs seconds, and nothing can change them."""

from __future__ import annotations

import pytest

from tests.fixtures.report_inputs import make_report_inputs, story


@pytest.fixture(scope="session")
def won(tmp_path_factory):
    """A model that the gate lets pass."""
    root = tmp_path_factory.mktemp("won")
    return story(root, make_report_inputs(root), title="ray-assistant", audience="engineers who use Ray")


@pytest.fixture(scope="session")
def lost(tmp_path_factory):
    """A model that the gate refuses, on texts that try to break out of the page."""
    root = tmp_path_factory.mktemp("lost")
    return story(root, make_report_inputs(root, won=False, hostile=True), price_per_hour_usd=2.5)
