from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metier.training.encoding import IGNORED, Example
from metier.training.model import load_base
from metier.training.packs import Pack, alone, packed
from metier.training.rows import row_of, shared_out
from metier.training.segments import attend_by_segments
from tests.fixtures.tiny_model import make_tiny_model

BEGUN = [1, *range(40, 52)]
RESTS = ([70, 71, 72, 2], [80, 2], [90, 91, 2])
ALIKE = [Example(BEGUN + rest, [IGNORED] * (len(BEGUN) + 1) + rest[1:]) for rest in RESTS]
OTHERS = [
    Example([1, 30, 31, 2], [1, IGNORED, 31, 2]),
    Example([1, 20, 21, 22, 23, 2], [IGNORED] * 2 + [21, 22, 23, 2]),
]


@given(st.lists(st.integers(1, 30), max_size=40), st.integers(10, 60))
def test_every_pack_is_in_one_row_and_no_row_is_too_long(lengths, most):
    rows = shared_out(lengths, most)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= most or len(row) == 1 for row in rows)


def test_rows_are_about_equally_long():
    rows = shared_out([9, 8, 7, 6, 5, 4, 3, 2], 25)
    assert sorted(len(row) for row in rows) == [4, 4]
    assert {sum([9, 8, 7, 6, 5, 4, 3, 2][i] for i in row) for row in rows} == {22}


def test_a_row_holds_texts_at_their_own_positions_and_no_label_reaches_over():
    row = row_of([*alone(OTHERS[:1]), Pack(2, (Example([1, 2, 30, 31], [IGNORED] * 3 + [31]),
                                               Example([1, 2, 40, 41], [IGNORED] * 3 + [41])))], "cpu")  # fmt: skip
    assert row["input_ids"].tolist() == [[1, 30, 31, 2, 1, 2, 30, 31, 40, 41]]
    assert row["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 2, 3]]
    first = IGNORED
    assert row["labels"].tolist() == [[first, IGNORED, 31, 2, first, IGNORED, first, 31, first, 41]]
    segments = row["segments"]
    assert segments.queries.tolist() == [0, 4, 6, 8, 10]
    assert segments.keys.tolist() == [0, 4, 6, 10, 14]
    assert segments.places.tolist() == [0, 1, 2, 3, 4, 5, 4, 5, 6, 7, 4, 5, 8, 9]
    assert (segments.longest_queries, segments.longest_keys) == (4, 4)


def test_without_a_shared_beginning_keys_stay_where_they_are():
    assert row_of(alone(OTHERS), "cpu")["segments"].places is None


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = load_base(str(make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"])), "cpu").eval()
    attend_by_segments(model)
    return model


def logits(model, row):
    inputs = {name: part for name, part in row.items() if name != "labels"}
    with torch.no_grad():
        return model(**inputs, use_cache=False).logits[0]


def test_logits_in_a_row_are_those_of_each_text_alone(model):
    texts = [*OTHERS, *ALIKE]
    got = logits(model, row_of(alone(texts), "cpu"))
    with torch.no_grad():
        apart = [model(input_ids=torch.tensor([e.ids])).logits[0] for e in texts]
    torch.testing.assert_close(got, torch.cat(apart), rtol=1e-5, atol=1e-5)


def test_logits_behind_a_shared_beginning_are_those_of_each_text_alone(model):
    (pack,) = packed(ALIKE, 100)
    assert pack.shared == len(BEGUN)
    got = logits(model, row_of([*alone(OTHERS), pack], "cpu"))
    at = sum(len(e.ids) for e in OTHERS) + pack.shared
    for one in pack.examples:
        rest = len(one.ids) - pack.shared
        with torch.no_grad():
            apart = model(input_ids=torch.tensor([one.ids])).logits[0]
        torch.testing.assert_close(got[at : at + rest], apart[pack.shared :], rtol=1e-5, atol=1e-5)
        at += rest
    assert at == len(got)


def test_padded_rows_are_read_as_before(model):
    plain = [1, 30, 31, 2]
    with torch.no_grad():
        whole = model(
            input_ids=torch.tensor([plain, [1, 5, 2, 2]]), attention_mask=torch.tensor([[1] * 4, [1, 1, 1, 0]])
        )
        short = model(input_ids=torch.tensor([[1, 5, 2]]))
    torch.testing.assert_close(whole.logits[1, :3], short.logits[0], rtol=1e-5, atol=1e-5)
