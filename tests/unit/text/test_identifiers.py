"""What sets two texts of one wording apart."""

from __future__ import annotations

import pytest

from metier.text.identifiers import (
    denies,
    distinguishing,
    identifiers,
    literals,
    numbers,
    quotations,
    written_numbers,
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("What does `ray.data.Dataset.map()` do?", {"ray.data.dataset.map"}),
        ("the default of batch_size in read_csv", {"batch_size", "read_csv"}),
        ("A DataConfig in float32, e.g. on a W4A16 model.", {"dataconfig", "float32", "w4a16"}),
        ("Ordinary words. And a sentence (i.e. nothing).", set()),
        ("`256` rows", {"256"}),
    ],
)
def test_names_are_found_as_code_writes_them(text, names):
    assert identifiers(text) == names


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,000 rows, 1_000 rows or 1000.0 rows", {"1000"}),
        ("from 10-20, or -1", {"10", "20", "-1"}),
        ("version 2.60.0 of 2025-01-31", {"2.60.0", "2025-01-31"}),
        ("1e-05 and 0.50, 10GB", {"0.00001", "0.5", "10"}),
        ("float32 x2 a1b2", set()),
        ("It holds 5.", {"5"}),
    ],
)
def test_numbers_have_one_spelling(text, found):
    assert numbers(text) == found


def test_numbers_in_words_constants_and_quotations():
    assert written_numbers("Three replicas, or none") == {"3"}
    assert literals("True, null or None") == {"true", "none"}
    assert quotations('the "Ledger rule" and “x”') == {"ledger rule", "x"}
    assert quotations('"one two three four five six seven eight nine"') == frozenset()


@pytest.mark.parametrize("text", ["It does not.", "It doesn't.", "It can’t.", "without a model"])
def test_a_negation_is_seen(text):
    assert denies(text)
    assert not denies("It does, notably.")


def test_what_differs_in_one_token_is_told_apart():
    said = "The default of `{}` in `f` is {}."
    texts = [said.format("x", 1), said.format("y", 1), said.format("x", 2), said.format("x", "not 1")]
    assert len({distinguishing(text) for text in texts}) == 4
