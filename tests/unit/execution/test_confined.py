"""Calls with limits: what a child gives, raises and is stopped for, and that the next call does not suffer for it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from metier.execution.confined import Stopped, confined
from metier.text.unreadable import UnreadableDocument
from tests.fixtures.badly_behaved import dies_once, ends, hoards, keeps, loops, process_id, refuses, says

LIMITS = {"seconds": 60, "megabytes": 2000}


def stopped(function, *arguments, **limits) -> Stopped:
    with pytest.raises(Stopped) as caught:
        confined(function, *arguments, **(LIMITS | limits))
    return caught.value


def test_one_child_gives_what_the_functions_give():
    assert confined(says, "so", **LIMITS) == "so"
    child = confined(process_id, **LIMITS)
    assert child != os.getpid()
    assert confined(process_id, **LIMITS) == child


def test_what_a_function_raises_comes_back_with_the_place_where_it_was_raised():
    with pytest.raises(UnreadableDocument) as caught:
        confined(refuses, **LIMITS)
    assert (caught.value.reason, caught.value.evidence) == ("corrupt", "half of a letter \\ud800")
    assert "in refuses" in caught.value.__notes__[0]


def test_an_endless_loop_is_stopped_by_its_processor_time_and_the_next_call_is_served():
    began = time.monotonic()
    fault = stopped(loops, seconds=1)
    assert time.monotonic() - began < 30
    assert (fault.reason, fault.evidence) == ("over_limit", "took more than 1 s of processor time")
    assert confined(says, "so", **LIMITS) == "so"


def test_the_time_of_earlier_calls_does_not_count():
    confined(loops, 0.7, seconds=2, megabytes=2000)
    confined(loops, 0.7, seconds=2, megabytes=2000)
    assert confined(loops, 0.7, seconds=2, megabytes=2000) is None


def test_one_that_fills_the_memory_is_stopped():
    fault = stopped(hoards, megabytes=500)
    assert (fault.reason, fault.evidence) == ("over_limit", "took more than 500 MB of memory")
    assert confined(says, "so", **LIMITS) == "so"


def test_a_call_does_not_suffer_for_what_was_kept_before_it():
    assert [confined(keeps, 600, seconds=60, megabytes=1500) for _ in range(4)] == [1, 2, 1, 2]


@pytest.mark.parametrize(("how", "said"), [(-signal.SIGSEGV, "SIGSEGV"), (3, "exit code 3")])
def test_a_crash_is_told_by_its_name(how, said):
    fault = stopped(ends, how)
    assert (fault.reason, fault.evidence) == ("crashed", f"ended the process that read it ({said})")


def test_a_child_that_another_process_killed_is_no_fault_of_the_call(tmp_path):
    assert confined(dies_once, tmp_path / "died", **LIMITS) == "alive"


def test_an_answer_that_nobody_waited_for_is_not_the_next_ones():
    def interrupted(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupted)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            confined(loops, 2.0, **LIMITS)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert confined(says, "mine", **LIMITS) == "mine"
