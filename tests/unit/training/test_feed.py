from __future__ import annotations

import random

import pytest

from metier.errors import StepError
from metier.training.encoding import IGNORED, Example
from metier.training.feed import STEPS_TOGETHER, Feed, scheduled, steps_in, tables_of, write_steps
from metier.training.recipe import Recipe

RECIPE = Recipe(epochs=3, batch_tokens=64, pack_tokens=200)


def examples(number: int) -> list[Example]:
    draw = random.Random(number)
    made = []
    for _ in range(number):
        ids = [draw.randrange(9, 400) for _ in range(draw.randrange(3, 20))]
        made.append(Example(ids, [IGNORED, *ids[1:]]))
    return made


def alike(number: int) -> list[Example]:
    begun = list(range(50, 90))
    return [Example([*begun, 100 + i, 2], [IGNORED] * 41 + [2]) for i in range(number)]


def everything(epoch) -> list[tuple[int, ...]]:
    return sorted(tuple(e.ids) for step in epoch for pack in step for e in pack.examples)


def test_each_epoch_has_every_example_once_in_another_order():
    train = examples(50)
    schedule = scheduled(train, [], RECIPE, rows=False)
    assert [everything(epoch) for epoch in schedule.epochs] == [sorted(tuple(e.ids) for e in train)] * 3
    first, second, _ = schedule.epochs
    assert first != second
    assert everything(first) == everything(second)


def test_the_order_of_the_examples_changes_nothing():
    train = examples(50)
    mixed = random.Random(1).sample(train, len(train))
    assert scheduled(train, [], RECIPE, rows=True).digest == scheduled(mixed, [], RECIPE, rows=True).digest


def test_another_seed_or_token_is_another_schedule():
    train = examples(20)
    digests = {
        scheduled(train, [], RECIPE, rows=False).digest,
        scheduled(train, [], RECIPE.model_copy(update={"seed": 1}), rows=False).digest,
        scheduled([*train[1:], Example([9, 9, 9], [IGNORED, 9, 9])], [], RECIPE, rows=False).digest,
    }
    assert len(digests) == 3


def test_beginnings_are_shared_unless_the_model_can_not(tmp_path):
    train = [*alike(5), *examples(3)]
    shared = scheduled(train, [], RECIPE, rows=False)
    assert max(len(p.examples) for step in shared.steps() for p in step) == 5
    assert [len(p.examples) for p in (*shared.probes[1], *shared.probes[2])] == [5, 5]
    apart = scheduled(train, [], RECIPE, rows=False, shares=False)
    assert {len(p.examples) for step in apart.steps() for p in step} == {1}
    assert len(apart.probes) == 1


def test_the_longest_pack_is_known_though_a_step_is_shorter():
    joined = alike(12)
    schedule = scheduled(joined, examples(3), Recipe(batch_tokens=32, pack_tokens=4096), rows=True)
    packs = [pack for step in schedule.steps() for pack in step]
    assert schedule.longest == max(pack.tokens for pack in packs) > max(len(e.ids) for e in joined)
    held_out = [Example([1] * 900, [1] * 900)]
    assert scheduled(joined, held_out, Recipe(), rows=True).longest == 900


def test_what_is_written_is_read_step_by_step(tmp_path):
    schedule = scheduled([*examples(80), *alike(6)], [], RECIPE, rows=False)
    expected = [list(step) for step in schedule.steps()]
    write_steps(tmp_path / "train.arrow", expected)
    assert list(steps_in(tables_of(tmp_path / "train.arrow"))) == expected


@pytest.mark.parametrize("first", [0, 1, STEPS_TOGETHER - 1, STEPS_TOGETHER, STEPS_TOGETHER + 1, 150, 200])
def test_reading_begins_anywhere(tmp_path, first):
    steps = [[pack] for step in scheduled(examples(50), [], RECIPE, rows=False).steps() for pack in step]
    path = tmp_path / "train.arrow"
    write_steps(path, steps)
    feed = Feed(lambda: tables_of(path), lambda: ())
    assert list(feed.steps(first)) == steps[first:]


def test_a_reader_holds_few_steps_at_a_time(tmp_path):
    path = tmp_path / "train.arrow"
    write_steps(path, [[pack] for pack in scheduled(examples(200), [], RECIPE, rows=True).epochs[0][0]] * 200)
    sizes = [table.num_rows for table in tables_of(path)]
    assert max(sizes) == STEPS_TOGETHER
    assert len(sizes) > 3


def test_nothing_held_out_is_an_empty_table(tmp_path):
    path = tmp_path / "validation.arrow"
    write_steps(path, scheduled(examples(4), [], RECIPE, rows=False).held_out)
    assert list(Feed(lambda: (), lambda: tables_of(path)).validation()) == []


def test_steps_that_come_twice_or_in_another_order_are_refused(tmp_path):
    steps = [[pack] for pack in scheduled(examples(50), [], RECIPE, rows=False).epochs[0][0]] * 40
    write_steps(tmp_path / "train.arrow", steps)
    first, second, *rest = tables_of(tmp_path / "train.arrow")
    for disordered in ([second, first, *rest], [first, first, second], [first, *rest]):
        with pytest.raises(StepError, match=r"step \d+ of the data comes where step \d+ is due"):
            list(steps_in(disordered))
