"""Two answers to one question: which can't both hold."""

from __future__ import annotations

import pytest

from metier.text.contradiction import contradiction


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ("The limit is 100 units.", "The limit is 250 units.", "100 against 250"),
        ("256", "`512`", "256 against 512"),
        ('{"default": 1}', "1.5", "1 against 1.5"),
        ("It is True.", "It is False by default.", "true against false"),
        ("A branch reports its reserve.", "A branch does not report its reserve.", "one denies what the other says"),
    ],
)
def test_these_exclude_each_other(a, b, why):
    assert contradiction(a, b) == why
    assert contradiction(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("The limit is 1,000 units.", "1000 units are the limit."),
        ("The limit is 100 units.", "The limit is 100 units, reviewed after 12 months."),
        ("Each voucher is reviewed after 12 months.", "A larger tariff needs the consent of 2 officers."),
        ("```python\nf(1)\n```", "```python\nf(2)\n```"),
        ("It applies a function to each row.", "It applies a function to each row of the data set."),
        ("", "The limit is 100 units."),
    ],
)
def test_these_may_both_hold(a, b):
    assert contradiction(a, b) == contradiction(b, a) == ""
