"""Functions called here and on the cluster: the same results, in the same order, and errors as they were raised."""

from __future__ import annotations

import os

import pyarrow as pa
import pytest

from metier.errors import InputError
from metier.execution.tasks import Here, OnCluster, Tasks


@pytest.fixture(params=["here", "on the cluster"])
def tasks(request) -> Tasks:
    if request.param == "here":
        return Here()
    request.getfixturevalue("ray_cluster")
    return OnCluster(1)


def counted(*tables: pa.Table) -> int:
    return sum(table.num_rows for table in tables)


def dealt(table: pa.Table, parts: int) -> tuple[pa.Table, ...]:
    return tuple(table.slice(place, 1) for place in range(parts))


TABLE = pa.table({"row": [0, 1, 2]})


def test_results_come_in_the_order_of_their_handles(tasks):
    handles = [tasks.call(counted, *[TABLE] * number) for number in (3, 1, 2)]
    assert list(tasks.results(handles)) == [9, 3, 6]
    assert list(tasks.results([])) == []


@pytest.mark.parametrize("parts", [1, 3])
def test_a_tuple_comes_in_parts_which_other_calls_take(tasks, parts):
    handles = tasks.call(dealt, TABLE, parts, parts=parts)
    assert len(handles) == parts
    assert list(tasks.results(tasks.call(counted, one) for one in handles)) == [1] * parts
    assert [one["row"].to_pylist() for one in tasks.results(handles)] == [[row] for row in range(parts)]


def test_a_result_may_be_an_argument_without_being_waited_for(tasks):
    first, *_ = tasks.call(dealt, TABLE, 2, parts=2)
    assert list(tasks.results([tasks.call(counted, first, TABLE)])) == [4]


def refuse(text: str) -> None:
    raise InputError(text)


def test_an_error_is_raised_as_it_was(tasks):
    with pytest.raises(InputError, match="^no such row$"):
        list(tasks.results([tasks.call(refuse, "no such row")]))


def test_an_error_of_what_a_call_waits_for_is_that_error(tasks):
    with pytest.raises(InputError, match="^no such row$"):
        list(tasks.results([tasks.call(counted, tasks.call(refuse, "no such row"))]))


def stumble() -> None:
    raise KeyError("a fault of ours")


def test_an_unexpected_error_tells_where_in_the_worker_it_was_raised(ray_cluster):
    tasks = OnCluster(1)
    with pytest.raises(KeyError) as caught:
        list(tasks.results([tasks.call(stumble)]))
    assert "in stumble" in caught.value.__notes__[0]


def where() -> int:
    return os.getpid()


def test_here_is_this_process_and_the_cluster_is_not(ray_cluster):
    assert list(Here().results([Here().call(where)])) == [os.getpid()]
    cluster = OnCluster(1)
    assert os.getpid() not in list(cluster.results([cluster.call(where)]))


def die_once(marker: str) -> str:
    if not os.path.exists(marker):
        with open(marker, "w"):
            pass
        os._exit(1)
    return "alive"


def test_a_worker_that_dies_is_followed_by_another(ray_cluster, tmp_path):
    cluster = OnCluster(1)
    assert list(cluster.results([cluster.call(die_once, str(tmp_path / "died"))])) == ["alive"]
