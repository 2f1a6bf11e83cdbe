"""Digests see content, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from metier.errors import InputError
from metier.lineage.fingerprint import digest, rows_digest, rows_total, tree_digest
from metier.lineage.source import PathSource


def test_key_order_does_not_matter():
    assert digest({"a": 1, "b": [1.5, None]}) == digest({"b": [1.5, None], "a": 1})


@pytest.mark.parametrize("value", [float("nan"), {1: 2}, {1, 2}, Path("x"), b"x", [object()]])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(TypeError):
        digest(value)


def test_a_folder_is_what_it_holds_wherever_it_lies(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "a.md").write_text("text")
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "two")
    (tmp_path / "two" / "sub" / "a.md").write_text("other")
    assert tree_digest(tmp_path / "one") != tree_digest(tmp_path / "two")


def test_how_often_a_row_occurs_matters():
    one, other, more = (rows_digest(rows_total(ids)) for ids in ("ab", "ba", "abb"))
    assert one == other != more


def test_parts_of_a_table_add_up_to_it():
    assert rows_total("abc") == rows_total("a") + rows_total("bc")


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        _ = PathSource(str(tmp_path / "none")).fingerprint
