"""Two workers train as one does, whatever engine holds the model; and what one engine saved another goes on with."""

from __future__ import annotations

import pytest

from metier.errors import StepError
from metier.training.engine import Peers
from metier.training.gradient import refuse_severed
from tests.fixtures.spread_training import cut_off, resumed, trained
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.worker_processes import in_workers

ENGINES = ("ddp", "fsdp2", "zero2", "zero3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"]))


@pytest.fixture(scope="module")
def one_worker(folder, tmp_path_factory):
    """What a worker that holds all of the model does, by method and packing."""
    work = tmp_path_factory.mktemp("one")
    return {
        (method, packing): trained(Peers(), folder, "ddp", method, packing, str(work / f"{method}-{packing}"))
        for method in ("lora", "full")
        for packing in ("padded", "rows")
    }


def both_methods(peers: Peers, folder: str, engine: str, packing: str, work: str):
    return {m: trained(peers, folder, engine, m, packing, f"{work}/{engine}-{m}-{packing}") for m in ("lora", "full")}


@pytest.fixture(scope="module")
def two_workers(folder, tmp_path_factory):
    """Trains on demand, once for each engine and packing; the checkpoints are in the folder that is given."""
    work = tmp_path_factory.mktemp("two")
    found = {}

    def run(engine: str, packing: str = "padded"):
        key = f"{engine}-{packing}"
        if key not in found:
            found[key] = in_workers(both_methods, 2, work / f"run-{key}", folder, engine, packing, str(work))
        return found[key], work

    return run


@pytest.mark.parametrize("packing", ["padded", "rows"])
@pytest.mark.parametrize("engine", ENGINES)
def test_two_workers_have_the_losses_norms_and_answers_of_one(engine, packing, one_worker, two_workers):
    ranks, _ = two_workers(engine, packing)
    for method in ("lora", "full"):
        for rank in ranks:
            expected = one_worker[method, packing]
            for (loss, norm), (alone, norm_alone) in zip(rank[method]["course"], expected["course"], strict=True):
                assert loss == pytest.approx(alone, abs=1e-4)
                assert norm == pytest.approx(norm_alone, rel=1e-4)
            assert rank[method]["evaluated"][0] == pytest.approx(expected["evaluated"][0], abs=1e-4)
            assert rank[method]["evaluated"][1] == expected["evaluated"][1]
            assert rank[method]["saved"] == expected["saved"]


def resumed_with_both(peers: Peers, folder: str, engine: str, work: str, writer: str):
    return {m: resumed(peers, folder, engine, m, f"{work}/{writer}-{m}-padded") for m in ("lora", "full")}


@pytest.mark.parametrize(
    ("writer", "reader"), [("zero3", "fsdp2"), ("fsdp2", "zero3"), ("zero2", "ddp"), ("ddp", "zero2")]
)
def test_what_two_workers_saved_one_goes_on_with_under_another_engine(writer, reader, folder, two_workers, tmp_path):
    ranks, work = two_workers(writer)
    (course,) = in_workers(resumed_with_both, 1, tmp_path / "one", folder, reader, str(work), writer)
    for method in ("lora", "full"):
        for (loss, norm), (expected, norm_expected) in zip(course[method], ranks[0][method]["course"][3:], strict=True):
            assert loss == pytest.approx(expected, abs=1e-5)
            assert norm == pytest.approx(norm_expected, rel=1e-4)


def cut_off_in_all(peers: Peers, folder: str):
    return {engine: cut_off(peers, folder, engine) for engine in ENGINES}


def test_a_severed_layer_is_found_under_every_engine(folder, tmp_path):
    for magnitudes in in_workers(cut_off_in_all, 2, tmp_path / "two", folder):
        for found in magnitudes.values():
            assert found == pytest.approx(magnitudes["ddp"], rel=1e-4)
            with pytest.raises(StepError, match=r"no gradient reaches 1 of 14 trained layers, first .*1\.mlp\.up_proj"):
                refuse_severed(found)
