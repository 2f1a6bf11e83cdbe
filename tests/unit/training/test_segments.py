from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from metier.errors import StepError
from metier.training.segments import Segments, _interface, attention


def segments(queries: list[int], keys: list[int] | None = None, places: list[int] | None = None) -> Segments:
    of = [
        torch.tensor([0, *torch.tensor(lengths).cumsum(0)], dtype=torch.int32) for lengths in (queries, keys or queries)
    ]
    return Segments(of[0], of[1], max(queries), max(keys or queries), torch.tensor(places) if places else None)


@pytest.fixture
def heads():
    torch.manual_seed(0)
    return torch.randn(9, 4, 8), torch.randn(9, 2, 8), torch.randn(9, 2, 8)  # four query heads, two key heads


def alone(query, key, value, window: int | None = None):
    """Plain causal attention over one text, every key head repeated."""
    q, k, v = query.transpose(0, 1), *(x.repeat_interleave(2, dim=1).transpose(0, 1) for x in (key, value))
    sight = torch.ones(len(query), len(query), dtype=torch.bool).tril()
    if window:
        sight = sight.triu(1 - window)
    return scaled_dot_product_attention(q, k, v, attn_mask=sight, scale=0.3).transpose(0, 1)


@pytest.mark.parametrize("window", [None, 2])
def test_each_text_reads_itself_alone(heads, window):
    read = attention(*heads, segments([4, 5]), scale=0.3, window=window)
    apart = [alone(*(x[part] for x in heads), window=window) for part in (slice(0, 4), slice(4, 9))]
    torch.testing.assert_close(read, torch.cat(apart))


def test_rests_read_the_beginning_that_they_share_and_themselves(heads):
    """Three tokens of a beginning, rests of two and four tokens behind it."""
    shared = segments([3, 2, 4], [3, 5, 7], [*range(3), *range(5), 0, 1, 2, 5, 6, 7, 8])
    read = attention(*heads, shared, scale=0.3)
    first, second = [0, 1, 2, 3, 4], [0, 1, 2, 5, 6, 7, 8]
    torch.testing.assert_close(read[:5], alone(*(x[first] for x in heads)))
    torch.testing.assert_close(read[5:], alone(*(x[second] for x in heads))[3:])


def test_what_packed_rows_cannot_compute_is_refused(heads):
    rows = [x.transpose(0, 1)[None] for x in heads]
    with pytest.raises(StepError, match="this model's attention has softcap"):
        _interface(None, *rows, None, segments=segments([4, 5]), softcap=30.0, scaling=0.3)
