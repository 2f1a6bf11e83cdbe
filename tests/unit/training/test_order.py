"""Plans of steps: those that the trainer makes are sound, and each planted fault is found."""

from __future__ import annotations

import random

import pytest

from metier.errors import StepError
from metier.training.batches import cut, epoch_batches
from metier.training.order import refuse_unsound_plan

LENGTHS = sorted(random.Random(1).sample(range(40, 900), 200))  # as a data set that is sorted by length


def plan(epochs: int = 3, padded: bool = True) -> list[list[list[int]]]:
    return [epoch_batches(LENGTHS, 2048, 0, epoch, padded) for epoch in range(epochs)]


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_the_trainers_own_plans_are_sound(padded, seed):
    for lengths in (LENGTHS, LENGTHS[:3], LENGTHS[:40], [64] * 50):
        made = [epoch_batches(lengths, 2048, seed, epoch, padded) for epoch in range(3)]
        refuse_unsound_plan(made, lengths)


def test_a_batch_that_comes_twice_in_an_epoch_is_found():
    made = plan()
    made[1][3] = list(made[1][7])
    with pytest.raises(StepError, match=rf"pack {made[1][7][0]} comes 2 times in epoch 2"):
        refuse_unsound_plan(made, LENGTHS)


def test_what_is_left_out_is_found():
    made = plan()
    gone = made[2].pop()
    with pytest.raises(StepError, match=f"epoch 3 leaves out {len(gone)} of 200 packs"):
        refuse_unsound_plan(made, LENGTHS)


def test_a_pack_that_is_not_there_is_found():
    made = plan()
    made[0][0].append(200)
    with pytest.raises(StepError, match="epoch 1 asks for pack 200, and there are 200"):
        refuse_unsound_plan(made, LENGTHS)


def test_an_order_that_is_not_mixed_anew_is_found():
    first, second, _ = plan()
    with pytest.raises(StepError, match="epoch 3 has the order of epoch 1"):
        refuse_unsound_plan([first, second, first], LENGTHS)


@pytest.mark.parametrize("falling", [False, True])
def test_a_set_that_is_sorted_by_length_is_found(falling):
    steps = cut(range(200), LENGTHS, 2048)
    with pytest.raises(StepError, match="epoch 1 are sorted by length, not mixed"):
        refuse_unsound_plan([steps[::-1] if falling else steps], LENGTHS)


def test_a_set_in_its_own_order_is_found_even_where_lengths_say_nothing():
    mixed = random.Random(3).sample(LENGTHS, 200)
    in_order = [list(range(i, i + 5)) for i in range(0, 200, 5)]
    with pytest.raises(StepError, match="sorted by their place in the data set"):
        refuse_unsound_plan([in_order], mixed)


def test_mostly_sorted_is_found_too():
    draw = random.Random(2)
    order = sorted(range(200), key=lambda i: i + draw.gauss(0, 60))
    with pytest.raises(StepError, match="not mixed"):
        refuse_unsound_plan([[[i] for i in order]], LENGTHS)
