from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.training.course import Point
from metier.training.guard import best_point, contenders, should_stop


def points(*rows: tuple[float, float | None, float | None]) -> list[Point]:
    """Checkpoints at steps 10, 20, ... from (train_loss, val_loss, dev_score)."""
    return [
        Point(step=10 * i, epoch=i / 2, train_loss=train, val_loss=val, dev_score=dev)
        for i, (train, val, dev) in enumerate(rows, 1)
    ]


@pytest.mark.parametrize(
    ("history", "best"),
    [
        (points((2, 2.0, 0.3), (1, 1.5, 0.6), (0.5, 1.9, 0.5)), 20),  # the dev exam decides
        (points((2, 2.0, 0.6), (1, 1.5, 0.6), (0.5, 1.9, 0.6)), 20),  # a tie: validation loss
        (points((2, 1.5, 0.6), (1, 1.5, 0.6)), 10),  # still a tie: the earliest
        (points((2, 2.0, None), (1, 1.5, None)), 20),  # no dev exam
        (points((2, None, None), (1, None, None)), 20),  # nothing was held out: the last
        (points((2, 2.0, 0.0)), 10),
    ],
)
def test_the_best_checkpoint(history, best):
    assert best_point(history).step == best


def test_scores_within_one_standard_error_are_equal_and_validation_loss_decides():
    lucky = Point(step=10, epoch=0.5, train_loss=2, val_loss=2.0, dev_score=0.42, dev_error=0.12)
    later = Point(step=20, epoch=1, train_loss=1, val_loss=1.0, dev_score=0.31, dev_error=0.09)
    assert best_point([lucky, later]) is later
    assert best_point([dataclasses.replace(lucky, dev_error=0.10), later]).step == 10


def test_no_checkpoint_is_no_history():
    with pytest.raises(ValueError, match="no checkpoint"):
        best_point([])


def test_training_stops_after_as_many_checkpoints_without_gain_as_patience_allows():
    falling = points((2, 2.0, 0.3), (1, 1.5, 0.6), (0.5, 1.6, 0.5), (0.4, 1.7, 0.6))
    assert should_stop(falling, patience=2)
    assert not should_stop(falling, patience=3)
    assert not should_stop(falling, patience=0)
    assert not should_stop(falling[:1], patience=1)


def test_a_better_loss_or_a_better_score_keeps_training_going():
    assert not should_stop(points((2, 2.0, 0.6), (1, 1.9, 0.5)), patience=1)
    assert not should_stop(points((2, 2.0, 0.6), (1, 2.1, 0.7)), patience=1)


def test_a_loss_that_rises_while_the_exam_still_improves_does_not_stop_training():
    rising = points((2, 1.0, 0.3), (1, 1.2, 0.5), (0.5, 1.4, 0.6), (0.4, 1.6, 0.7))
    assert not should_stop(rising, patience=2)
    assert should_stop(points(*((p.train_loss, p.val_loss, None) for p in rising)), patience=2)


def test_a_gain_in_the_fourth_digit_is_none():
    flat = points(*((1, 1.5 - i / 10_000, None) for i in range(6)))
    assert should_stop(flat, patience=4)
    assert not should_stop(points(*((1, 1.5 - i / 100, None) for i in range(6))), patience=4)


def test_a_validation_loss_that_is_no_number_is_never_best():
    assert best_point(points((2, float("nan"), None), (1, 1.5, None), (1, float("nan"), None))).step == 20


numbers = st.floats(0, 1, allow_nan=False).map(lambda value: round(value, 1))  # ties are common


@given(st.lists(st.tuples(st.none() | numbers, st.none() | numbers, numbers), min_size=1, max_size=12))
def test_the_best_checkpoint_is_never_among_those_that_were_dropped(rows):
    examined = any(score is not None for score, _, _ in rows)
    course = [
        Point(step=i, epoch=i, train_loss=1.0, val_loss=loss, dev_score=(score or 0.0) if examined else None, dev_error=error)
        for i, (score, loss, error) in enumerate(rows, 1)
    ]  # fmt: skip
    kept: set[int] = set()
    for end in range(1, len(course) + 1):
        kept = {step for step in kept | {end} if step in contenders(course[:end]) or step == end}
        assert best_point(course[:end]).step in kept


def test_a_checkpoint_that_another_beats_in_everything_is_dropped():
    course = [
        Point(1, 1, 1.0, 2.0, 0.3),
        Point(2, 2, 1.0, 1.5, 0.5),
        Point(3, 3, 1.0, 1.8, 0.4),
        Point(4, 4, 1.0, 1.9, 0.6),
    ]
    assert contenders(course) == [2, 4]
    assert contenders([Point(1, 1, 1.0), Point(2, 2, 1.0)]) == [2]


def test_what_nothing_watches_is_never_stopped():
    assert not should_stop([Point(step, step, 1.0) for step in range(1, 9)], patience=2)
