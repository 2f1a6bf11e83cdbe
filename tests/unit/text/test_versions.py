"""Versions of one document, and which takes the place of which."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.shingles import shingle_sets, texts_of
from metier.text.similarity import Buckets
from metier.text.versions import MOST_ALIKE, SHINGLE_WORDS, Versions, body_keys, family, sharing, successions

BODY = "A branch reports its reserve within {} days. The reserve is kept in two currencies, and an officer signs for it each month."
OTHER = (
    "Meals are served at noon in the large hall, except on Sundays when the kitchen is closed and guests eat in town."
)


def found(*rows: tuple[str, str, str], ids: list[str] | None = None, **settings: float) -> dict[str, tuple[str, str]]:
    """By the older one the newer and the day. Rows are (title, day, text); ids, where none are given, their places."""
    given = {"min_similarity": 0.7, "min_title_similarity": 0.2} | settings
    titles, days, texts = zip(*rows, strict=True)
    bodies, families = texts_of(pa.array(texts)), [family(title) for title in titles]
    titled = np.array([hash(one) % 2**64 if one else 0 for one in families], np.uint64)
    buckets = Buckets.of([sharing(keys) for keys in (titled, *body_keys(bodies, given["min_similarity"]))])
    ids = ids or [str(place) for place in range(len(rows))]
    versions = Versions(ids, families, days, shingle_sets(bodies, SHINGLE_WORDS))
    return {ids[one.older]: (ids[one.newer], days[one.newer]) for one in successions(buckets, versions, **given)}


def test_each_version_is_superseded_by_the_next():
    rows = [("Reserve rule", f"{year}-01-01", BODY.format(year)) for year in (2025, 2023, 2024)]
    assert found(*rows) == {"1": ("2", "2024-01-01"), "2": ("0", "2025-01-01")}


def test_a_nearly_equal_body_is_a_version_under_any_title():
    rows = ("Reserve rule", "2023-01-01", BODY.format("ten")), ("On reserves", "2024-01-01", BODY.format("five"))
    assert found(*rows) == {"0": ("1", "2024-01-01")}
    assert found(*rows, min_similarity=0.99) == {}


@pytest.mark.parametrize("title", ["Reserve rule 2024", "Reserve Rule (v2.1)", "reserve rule, edition 2"])
def test_marks_of_a_version_are_no_part_of_a_title(title):
    half = BODY.format("ten").replace("The reserve is kept in two currencies, and", "Since the reform, the board and")
    rows = ("Reserve rule", "2023-01-01", BODY.format("ten")), (title, "2024-01-01", half)
    assert found(*rows)
    assert not found(rows[0], ("Another", *rows[1][1:]))


def test_namesakes_without_anything_in_common_are_no_versions():
    assert found(("Introduction", "2023-01-01", BODY), ("Introduction", "2024-01-01", OTHER)) == {}


def test_documents_of_one_day_have_no_order():
    assert found(("Rule", "2024-01-01", BODY), ("Rule", "2024-01-01", BODY.format(3))) == {}


def test_of_two_that_follow_on_one_day_the_more_alike_does():
    rows = [
        ("Rule", "2023-01-01", BODY),
        ("Rule", "2024-01-01", f"{BODY} {OTHER}"),
        ("Rule", "2024-01-01", f"{BODY} Yes."),
    ]
    assert found(*rows) == {"0": ("2", "2024-01-01")}


def test_a_title_that_very_many_share_makes_nothing_a_version():
    def namesakes(number):
        days = [f"{2000 + n // 28}-01-{n % 28 + 1:02}" for n in range(number)]
        rows = [("Introduction", day, " ".join(f"w{n}x{k}" for k in range(20))) for n, day in enumerate(days)]
        return found(*rows, min_title_similarity=0)

    assert len(namesakes(MOST_ALIKE)) == MOST_ALIKE - 1
    assert namesakes(MOST_ALIKE + 1) == {}


@given(st.permutations([("2023-01-01", 3), ("2024-06-01", 4), ("2025-01-01", 5), ("2024-06-01", 7)]))
def test_the_order_of_the_documents_does_not_matter(rows):
    def pairs(order):
        return found(*(("Rule", day, BODY.format(n)) for day, n in order), ids=[str(n) for _, n in order])

    assert (
        pairs(rows)
        == pairs(sorted(rows))
        == {"3": ("4", "2024-06-01"), "4": ("5", "2025-01-01"), "7": ("5", "2025-01-01")}
    )
