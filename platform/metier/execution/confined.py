"""Calls a function in a child process with limits of its own: for parsers, which are given files from anywhere.

A hostile file may keep a parser busy for ever, fill the memory or crash the interpreter, and no exception stops that. The
limits are the kernel's, and time is the processor's, so that a busy machine changes no outcome. They work in the driver and
in Ray's workers alike, need no signal handler there, and end with the child: a parent that dies leaves nothing behind.
One child serves the calls of a process, one after the other; when it was stopped the next call starts another.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import Any, TypeVar

MEGABYTE = 1_000_000
OUT_OF_MEMORY = 71  # the exit code of a child that says so
ATTEMPTS = 2  # a child may be killed for what another process did, or be full of what it did before

T = TypeVar("T")


class Stopped(Exception):
    """The call was ended from outside: the reason as a code (over_limit, crashed), and what was seen."""

    def __init__(self, reason: str, evidence: str) -> None:
        super().__init__(f"{reason}: {evidence}")
        self.reason = reason
        self.evidence = evidence


def confined(function: Callable[..., T], *arguments: Any, seconds: int, megabytes: int) -> T:
    """What the function gives, computed by at most so many seconds of processor time and in so much memory.

    Function, arguments and result must be picklable. Raises Stopped, and what the function raises.
    """
    for attempt in range(1, ATTEMPTS + 1):
        child = _child()
        try:
            child.connection.send((function, arguments, seconds, megabytes))
            result, error = child.connection.recv()
            child.served += 1
            break
        except (EOFError, ConnectionError):
            _child.cache_clear()
            stopped = _explained(child.process.wait(), seconds, megabytes)
            if attempt == ATTEMPTS or (stopped.reason != "crashed" and not child.served):
                raise stopped from None
        except BaseException:  # an interrupted call: its answer must not be taken for the next one's
            _child.cache_clear()
            child.process.kill()
            child.process.wait()
            raise
    if error is not None:
        raise error
    return result


class _Child:
    """A process that waits for calls."""

    def __init__(self) -> None:
        self.served = 0  # calls
        self.connection, theirs = Pipe()
        with contextlib.closing(theirs):
            # -P: a file beside the user's data must not take the place of a module
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", f"from {__name__} import serve; serve({theirs.fileno()})"],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )


@functools.cache
def _child() -> _Child:
    return _Child()


def _explained(code: int, seconds: int, megabytes: int) -> Stopped:
    if code == -signal.SIGXCPU:
        return Stopped("over_limit", f"took more than {seconds} s of processor time")
    if code == OUT_OF_MEMORY:
        return Stopped("over_limit", f"took more than {megabytes} MB of memory")
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return Stopped("crashed", f"ended the process that read it ({how})")


def serve(handle: int) -> None:
    """The child's side: answers calls until the parent is gone."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = Connection(handle)
    while True:
        try:
            function, arguments, seconds, megabytes = connection.recv()
        except EOFError:
            return
        _limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + seconds)
        _limit(resource.RLIMIT_AS, megabytes * MEGABYTE)
        answer: tuple[Any, Exception | None]
        try:
            answer = function(*arguments), None
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except Exception as error:
            error.add_note(traceback.format_exc())  # a traceback does not travel
            answer = None, error
        connection.send(answer)


def _limit(kind: int, value: int) -> None:
    """Sets the soft limit, as far as the hard one allows."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
