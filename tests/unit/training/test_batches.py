from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from metier.training.batches import epoch_batches

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=200)


@given(LENGTHS, st.integers(16, 1000), st.integers(0, 9))
def test_every_pack_comes_once_and_steps_stay_within_their_tokens(lengths, batch_tokens, epoch):
    batches = epoch_batches(lengths, batch_tokens, seed=0, epoch=epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= batch_tokens


@given(LENGTHS, st.integers(16, 1000))
def test_without_padding_a_step_is_full_by_the_sum_of_its_lengths(lengths, batch_tokens):
    batches = epoch_batches(lengths, batch_tokens, seed=0, epoch=0, padded=False)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    filled = [sum(lengths[i] for i in batch) for batch in batches]
    assert all(len(batch) == 1 or tokens <= batch_tokens for batch, tokens in zip(batches, filled, strict=True))
    for tokens, following in zip(filled, batches[1:], strict=False):
        assert tokens + lengths[following[0]] > batch_tokens


def test_the_order_follows_from_seed_and_epoch():
    lengths = [20 + i % 50 for i in range(100)]
    first = epoch_batches(lengths, 512, seed=1, epoch=0)
    assert first == epoch_batches(lengths, 512, seed=1, epoch=0)
    assert first != epoch_batches(lengths, 512, seed=1, epoch=1)
    assert first != epoch_batches(lengths, 512, seed=2, epoch=0)


def test_buckets_spare_padding_but_keep_lengths_mixed_over_the_epoch():
    lengths = [10 if i % 2 else 200 for i in range(400)]
    batches = epoch_batches(lengths, 2000, seed=0, epoch=0)
    slots = sum(len(b) * max(lengths[i] for i in b) for b in batches)
    assert slots < 1.1 * sum(lengths)
    longest = [max(lengths[i] for i in b) for b in batches]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


def test_padding_of_natural_lengths_falls_to_a_fraction_of_what_rows_in_any_order_have():
    """Lognormal lengths, as the texts of a blend have."""
    draw = random.Random(0)
    lengths = [max(16, min(2000, int(draw.lognormvariate(5.9, 0.7)))) for _ in range(2000)]

    def padding(batches: list[list[int]]) -> float:
        return 1 - sum(lengths) / sum(len(b) * max(lengths[i] for i in b) for b in batches)

    bucketed = epoch_batches(lengths, 8192, seed=0, epoch=0)
    rows = round(len(lengths) / len(bucketed))
    in_any_order = [list(range(i, min(i + rows, len(lengths)))) for i in range(0, len(lengths), rows)]
    assert padding(in_any_order) > 0.5
    assert padding(bucketed) < 0.15
