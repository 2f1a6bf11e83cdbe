from __future__ import annotations

import datetime

import pytest

from metier.text.dates import day_of, starts_after, superseded_by


def test_a_day_is_read_with_or_without_a_time_behind_it():
    assert day_of("2025-01-31") == day_of("2025-01-31T10:00:00Z") == datetime.date(2025, 1, 31)
    assert day_of("") is None


@pytest.mark.parametrize("text", ["31.01.2025", "2025-1-31", "2025-13-01", "2025", "soon"])
def test_what_is_no_day_is_refused(text):
    with pytest.raises(ValueError, match="day|month|range"):
        day_of(text)


def test_what_was_superseded_by_a_day_no_longer_holds_on_it():
    assert superseded_by("2025-01-01", "2025-01-01")
    assert not superseded_by("2025-01-02", "2025-01-01")
    assert not superseded_by("", "2025-01-01")
    assert not superseded_by("2025-01-01", "")


def test_what_holds_from_a_day_holds_on_it():
    assert not starts_after("2025-01-01", "2025-01-01")
    assert starts_after("2025-01-02", "2025-01-01")
    assert not starts_after("2025-01-02", "")
