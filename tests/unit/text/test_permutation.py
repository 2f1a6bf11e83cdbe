"""Every text of a form has another one of its form, and no two share one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.permutation import permuted

KEY = b"k" * 32


@pytest.mark.parametrize(("every", "size"), [("d", 10), ("dd", 100), ("ddd", 1000)])
def test_it_is_a_permutation_without_a_fixed_point(every, size):
    texts = [f"{number:0{len(every)}d}" for number in range(size)]
    images = [permuted(text, KEY, "A") for text in texts]
    assert sorted(images) == texts
    assert all(image != text for image, text in zip(images, texts, strict=True))


def test_it_stays_one_among_those_that_are_given_out():
    texts = [f"{number:03d}" for number in range(0, 1000, 7)]
    images = [permuted(text, KEY, "A", lambda t: int(t) % 7 == 0) for text in texts]
    assert sorted(images) == texts
    assert all(image != text for image, text in zip(images, texts, strict=True))


@given(st.from_regex(r"[A-Za-z0-9 -]{0,20}[0-9]{4}", fullmatch=True), st.binary(min_size=1, max_size=8))
def test_the_form_stays(text, key):
    def form(of: str) -> str:
        return re.sub("[0-9]", "0", re.sub("[A-Z]", "A", re.sub("[a-z]", "a", of)))

    made = permuted(text, key, "A")
    assert made != text
    assert form(made) == form(text)
    assert made == permuted(text, key, "A")


def test_key_and_kind_part_the_surrogates():
    text = "1234567890123456"
    assert len({permuted(text, key, kind) for key in (KEY, b"l" * 32) for kind in ("A", "B")}) == 4


def test_it_spreads_over_its_domain():
    firsts = {permuted(f"{number:08d}", KEY, "A")[0] for number in range(200)}
    assert firsts == set("0123456789")


@pytest.mark.parametrize("text", ["", "---"])
def test_what_has_no_other_text_of_its_form_is_refused(text):
    with pytest.raises(ValueError, match="no other text"):
        permuted(text, KEY, "A")


def test_where_only_one_text_is_given_out_it_is_refused():
    with pytest.raises(ValueError, match="no other text"):
        permuted("7", KEY, "A", lambda t: t == "7")
