from __future__ import annotations

import pytest

from metier.errors import InputError
from metier.training.engines import engine_for, refuse_impossible
from metier.training.model import FullMethod, LoraMethod, QloraMethod


@pytest.mark.parametrize(
    ("method", "workers", "engine"),
    [(FullMethod(), 1, "ddp"), (FullMethod(), 2, "fsdp2"), (LoraMethod(), 8, "ddp"), (QloraMethod(), 8, "ddp")],
)
def test_only_a_full_model_is_spread_by_itself(method, workers, engine):
    assert engine_for("auto", method, workers) == engine
    assert engine_for("zero3", method, workers) == "zero3"


@pytest.mark.parametrize(
    ("kind", "method", "optimiser", "offload", "reason"),
    [
        ("ddp", LoraMethod(), "auto", True, "offload is for the engines fsdp2, zero2 and zero3"),
        ("fsdp2", QloraMethod(), "auto", False, "fsdp2 can't spread weights in 4 bits: set it to ddp"),
        ("zero3", QloraMethod(), "auto", False, "zero3 can't spread weights in 4 bits"),
        ("zero2", FullMethod(), "adamw_8bit", False, "adamw_8bit can't be spread by resources.engine zero2"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(kind, method, optimiser, offload, reason):
    with pytest.raises(InputError, match=reason) as refused:
        refuse_impossible(kind, method, optimiser, offload)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["ddp", "fsdp2", "zero2", "zero3"])
@pytest.mark.parametrize("method", [LoraMethod(), FullMethod()])
def test_the_rest_is_let_through(kind, method):
    refuse_impossible(kind, method, "auto", offload=kind != "ddp")
