from __future__ import annotations

import threading
import time

import pytest

from metier.execution.trial_place import POINTS, Place
from metier.training.course import Point

SETTINGS = {"rate": 0.25}


def point(step: int) -> Point:
    return Point(step=step, epoch=step, train_loss=1.0, dev_score=step / 4, dev_error=0.0)


@pytest.fixture
def begun(tmp_path) -> Place:
    place = Place.of(SETTINGS, tmp_path)
    assert place.begin() == ([], 0.0)
    place.note(point(1), 2.0)
    return place


def test_what_was_noted_is_told_to_whoever_goes_on(begun):
    assert begun.told() == begun.begin() == ([point(1)], 2.0)


def test_a_line_that_a_kill_cut_short_hides_none_behind_it(begun):
    points = begun.path / POINTS
    points.write_text(points.read_text() + points.read_text()[:20])
    assert begun.told() == ([point(1)], 2.0)
    begun.begin()
    begun.note(point(2), 3.0)
    assert begun.told() == ([point(1), point(2)], 3.0)


def test_the_outcome_stands_where_the_folder_stood_and_the_first_one_stays(begun, tmp_path):
    (begun.path / "checkpoints").mkdir()
    begun.end(SETTINGS, "pruned")
    begun.end(SETTINGS, "failed", "too late")
    assert begun.ended
    outcome = begun.outcome()
    assert (outcome.state, outcome.settings, outcome.points, outcome.seconds) == ("pruned", SETTINGS, (point(1),), 2.0)
    assert [path.name for path in tmp_path.iterdir()] == [begun.path.name]
    with pytest.raises(OSError, match="Not a directory|File exists"):
        (begun.path / "checkpoints").mkdir(parents=True)


def test_a_worker_that_makes_the_folder_anew_does_not_keep_the_outcome_out(begun):
    stop = threading.Event()

    def dying() -> None:
        while not stop.is_set():
            try:
                (begun.path / "checkpoints" / "step-1").mkdir(parents=True, exist_ok=True)
            except OSError:
                time.sleep(0)

    worker = threading.Thread(target=dying)
    worker.start()
    try:
        begun.end(SETTINGS, "pruned")
    finally:
        stop.set()
        worker.join()
    assert begun.ended


def test_what_is_forgotten_may_begin_again(begun):
    begun.end(SETTINGS, "failed", "no memory", lasting=False)
    begun.forget()
    assert begun.begin() == ([], 0.0)


def test_two_who_drew_the_same_settings_work_one_after_the_other(begun):
    order: list[str] = []

    def second() -> None:
        with begun.locked():
            order.append("second")

    with begun.locked():
        other = threading.Thread(target=second)
        other.start()
        time.sleep(0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_equal_settings_have_one_place(tmp_path):
    places = [Place.of(one, tmp_path) for one in ({"a": 1, "b": 2.0}, {"b": 2.0, "a": 1}, {"a": 1, "b": 2.5})]
    assert places[0] == places[1] != places[2]
