from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from metier.training.encoding import IGNORED, Example
from metier.training.model import load_base
from metier.training.packs import Pack, alone, packed, padded
from tests.fixtures.tiny_model import make_tiny_model


def example(ids: list[int], labelled: int) -> Example:
    """The last `labelled` tokens are the answer."""
    asked = len(ids) - labelled
    return Example(ids, [IGNORED] * asked + ids[asked:])


SAME = [1, 2, 3, 4, 5, 6]
A, B = example([*SAME, 10, 11, 12], 2), example([*SAME, 20, 21], 1)


def test_what_begins_alike_is_one_row():
    assert packed([B, A], 100) == packed([A, B], 100) == [Pack(6, (A, B))]
    assert packed([A, B], 100)[0].tokens == 6 + 3 + 2


def test_what_differs_or_would_be_too_long_stands_alone():
    other = example([1, 2, 9, 9, 9, 9, 9, 9], 1)
    assert packed([A, other], 100) == [Pack(0, (A,)), Pack(0, (other,))]
    assert packed([A, B], 10) == alone([A, B])


def test_a_label_is_never_shared_nor_the_token_before_it():
    twice = packed([A, A], 100)
    assert twice == [Pack(6, (A, A))]
    assert packed([example(SAME, 5), example(SAME, 5)], 100) == alone([example(SAME, 5)] * 2)


ROWS = st.builds(
    lambda begin, rest, labelled: example([*begin, *rest], min(labelled, len(rest))),
    st.sampled_from([SAME, [*SAME, 7], [1, 8, 9]]),
    st.lists(st.integers(10, 13), min_size=1, max_size=5),
    st.integers(1, 5),
)


@given(st.lists(ROWS, max_size=12), st.integers(8, 40))
def test_every_example_comes_out_whole(rows, most):
    packs = packed(rows, most)
    assert sorted((e.ids, e.labels) for p in packs for e in p.examples) == sorted((e.ids, e.labels) for e in rows)
    for pack in packs:
        assert len(pack.examples) == 1 or pack.tokens <= most
        assert len({tuple(e.ids[: pack.shared]) for e in pack.examples}) == 1
        assert all(label == IGNORED for e in pack.examples for label in e.labels[: pack.shared + 1] if pack.shared)


def test_padding_is_neither_seen_nor_learnt():
    rows = alone([Example([5, 6, 7], [IGNORED, 6, 7]), Example([8], [8])])
    batch = padded(rows, pad=2, device="cpu")
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 2, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7], [8, IGNORED, IGNORED]]


def test_a_rest_sees_the_beginning_and_itself_at_its_own_positions():
    batch = padded([Pack(2, (example([1, 2, 30, 31], 1), example([1, 2, 40], 0)))], pad=9, device="cpu")
    assert batch["input_ids"].tolist() == [[1, 2, 30, 31, 40]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 2]]
    assert batch["attention_mask"][0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]


def test_logits_in_a_padded_pack_are_those_of_each_text_alone(tmp_path):
    model = load_base(str(make_tiny_model(tmp_path, ["some text"])), "cpu").eval()
    begun, rests = [1, *range(40, 60)], ([70, 71, 72, 2], [80, 2], [90, 91, 2])
    texts = [*(example(begun + rest, len(rest) - 1) for rest in rests), example([1, 30, 31, 2], 2)]
    packs = packed(texts, 100)
    assert sorted(len(pack.examples) for pack in packs) == [1, 3]  # so one row is padded, and one shares its beginning
    inputs = {name: part for name, part in padded(packs, 2, "cpu").items() if name != "labels"}
    with torch.no_grad():
        rows = model(**inputs, use_cache=False).logits
        for pack, row in zip(packs, rows, strict=True):
            at = pack.shared
            for one in pack.examples:
                apart = model(input_ids=torch.tensor([one.ids])).logits[0]
                rest = len(one.ids) - pack.shared
                torch.testing.assert_close(row[: pack.shared], apart[: pack.shared], rtol=1e-5, atol=1e-5)
                torch.testing.assert_close(row[at : at + rest], apart[pack.shared :], rtol=1e-5, atol=1e-5)
                at += rest
