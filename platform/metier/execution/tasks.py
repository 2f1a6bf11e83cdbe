"""Whole functions called on the cluster or here: for what is no map over rows, such as a join.

A caller is written once against `Tasks`. A function that is called must be pure, and its arguments and results are arrays
or Arrow tables: Ray may run it again when a worker or a node dies, and gives what it gave.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from metier.errors import MetierError

Handle = Any
"""What stands for a result that may not be there yet; may be an argument of another call."""


class Tasks(Protocol):
    """Where functions are called."""

    def call(self, function: Callable[..., Any], *arguments: Any, parts: int = 0) -> Handle:
        """Calls a function; gives a handle, or a list of `parts` handles where it returns a tuple of so many."""
        ...

    def share(self, value: Any) -> Handle:
        """A handle for an argument of many calls, which is sent once."""
        ...

    def results(self, handles: Iterable[Handle]) -> Iterator[Any]:
        """The results in the order of the handles, each as soon as it and those before it are there."""
        ...


class Here:
    """In this process, at once."""

    def call(self, function: Callable[..., Any], *arguments: Any, parts: int = 0) -> Handle:
        """See Tasks."""
        made = function(*arguments)
        return list(made) if parts else made

    def share(self, value: Any) -> Handle:
        """See Tasks."""
        return value

    def results(self, handles: Iterable[Handle]) -> Iterator[Any]:
        """See Tasks."""
        return iter(handles)


class OnCluster:
    """As Ray tasks. Results lie in Ray's object store, which writes to disk what memory can't hold."""

    def __init__(self, cpus: float, gpus: float = 0) -> None:
        self._cpus, self._gpus = cpus, gpus

    def call(self, function: Callable[..., Any], *arguments: Any, parts: int = 0) -> Handle:
        """See Tasks."""
        if parts == 1:
            return [self.call(_only, function, *arguments)]
        return (
            _remote(function)
            .options(num_cpus=self._cpus, num_gpus=self._gpus, num_returns=parts or 1)
            .remote(*arguments)
        )

    def share(self, value: Any) -> Handle:
        """See Tasks."""
        import ray

        return ray.put(value)

    def results(self, handles: Iterable[Handle]) -> Iterator[Any]:
        """See Tasks. An error is raised as the function raised it, and what was not waited for is cancelled."""
        import ray

        waiting = collections.deque(handles)
        while waiting:
            handle = waiting.popleft()  # not held any longer: Ray frees what nobody holds
            try:
                yield ray.get(handle)
            except ray.exceptions.RayTaskError as error:
                for other in waiting:
                    ray.cancel(other)
                if not isinstance(error.cause, MetierError):  # ours say all in their words
                    error.cause.add_note(str(error))  # where in the worker: that does not travel with the cause
                raise error.cause from None


def _only(function: Callable[..., Any], *arguments: Any) -> Any:
    """Ray does not take a tuple of one apart."""
    (made,) = function(*arguments)
    return made


@functools.cache
def _remote(function: Callable[..., Any]) -> Any:
    import ray

    return ray.remote(function)
