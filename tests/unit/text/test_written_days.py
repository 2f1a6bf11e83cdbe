"""A day is found in the forms in which it is written, and moves without changing its form."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.written_days import WRITTEN_DAY, moved

FORMS = {
    "1984-03-12": "1984-03-13",
    "1984/3/12": "1984/3/13",
    "12.03.1984": "13.03.1984",
    "31.12.1999": "01.01.2000",
    "3/12/1984": "3/13/1984",
    "31/12/1984": "01/01/1985",
    "12/31/84": "01/01/85",
    "12 March 1984": "13 March 1984",
    "12th Mar 1984": "13th Mar 1984",
    "the 1st of June 1984": "the 2nd of June 1984",
    "March 12, 1984": "March 13, 1984",
    "May 31, 1984": "June 1, 1984",
    "Sep. 9th, 2001": "Sep. 10th, 2001",
}


@pytest.mark.parametrize(("written", "next_day"), FORMS.items())
def test_a_day_moves_in_its_own_form(written, next_day):
    found = WRITTEN_DAY.search(written)
    assert found
    assert written.replace(found[0], moved(found[0], 1)) == next_day


@pytest.mark.parametrize("written", ["31.02.1984", "99/99/1984", "9999-99-99", "no day", "December 99, 1984"])
def test_what_is_no_day_does_not_move(written):
    assert moved(written, 1) is None


def test_a_day_does_not_leave_the_calendar():
    assert moved("1900-01-01", -(10**6)) is None


@pytest.mark.parametrize("text", ["1.2.3", "2.10.1-4", "v1984-03-12x", "10/100/1984", "path/12/03/1984/file", "1984"])
def test_a_version_or_a_path_is_no_day(text):
    assert WRITTEN_DAY.search(text) is None


@given(
    st.dates(datetime.date(1931, 1, 1), datetime.date(2029, 12, 31)),
    st.dates(datetime.date(1931, 1, 1), datetime.date(2029, 12, 31)),
    st.integers(-300, 300),
    st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%d %B %Y", "%B %d, %Y"]),
)
def test_intervals_survive(first, second, days, form):
    after = [datetime.datetime.strptime(moved(day.strftime(form), days), form).date() for day in (first, second)]
    assert after[1] - after[0] == second - first
