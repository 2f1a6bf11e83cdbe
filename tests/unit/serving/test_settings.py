"""Serve settings from plain values."""

import pytest

from metier.errors import InputError
from metier.serving.settings import ServeSettings, settings_from


def test_defaults_ask_for_a_key():
    assert settings_from({}) == ServeSettings()
    assert ServeSettings().require_key


@pytest.mark.parametrize(("values", "words"), [({"gpu": 1}, "gpu"), ({"max_num_seqs": 0}, "max_num_seqs")])
def test_a_bad_value_is_named(values, words):
    with pytest.raises(InputError, match=words):
        settings_from(values)


def test_every_setting_is_explained():
    assert all(field.description for field in ServeSettings.model_fields.values())
