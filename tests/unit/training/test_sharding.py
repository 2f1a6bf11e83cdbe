from __future__ import annotations

import pytest

from metier.errors import InputError
from metier.training.model import FullMethod, LoraMethod, QloraMethod
from metier.training.shape import LLAMA_8B
from metier.training.sharding import ALONE, Sharding, sharding_of


def test_auto_spreads_what_full_training_holds_and_nothing_else():
    assert sharding_of("auto", FullMethod(), 4, False) == Sharding("fsdp2", 4)
    assert sharding_of("auto", FullMethod(), 1, False) == ALONE
    assert sharding_of("auto", LoraMethod(), 4, False) == Sharding("ddp", 4)
    assert sharding_of("zero2", FullMethod(), 4, True) == Sharding("zero2", 4, offload=True)


def test_a_card_holds_sixteen_bytes_of_a_weight_or_its_part_of_them():
    assert Sharding("fsdp2", 4).held(8) == 16 / 4
    assert Sharding("zero3", 4).held(8) == 16 / 4
    assert Sharding("zero2", 4).held(8) == 2 + 14 / 4  # weights whole, in bfloat16
    assert Sharding("ddp", 4).held(8) == 18  # and a copy in bfloat16 while a step lasts


def test_what_is_offloaded_is_the_host_s():
    assert Sharding("fsdp2", 4, offload=True).held(8) == 0
    assert Sharding("fsdp2", 4, offload=True).hosted() == 16 / 4
    assert Sharding("zero2", 4, offload=True).held(8) == 2
    assert Sharding("zero3", 4).hosted() == 0


def test_whatever_is_gathered_is_there_whole():
    for engine in ("fsdp2", "zero3"):
        assert Sharding(engine, 64).root(LLAMA_8B) == 2 * LLAMA_8B.others
        assert Sharding(engine, 64).under_way(LLAMA_8B, trained=True) > 10 * LLAMA_8B.layer
        assert Sharding(engine, 64).under_way(LLAMA_8B, trained=False) >= 4 * LLAMA_8B.layer
    assert ALONE.root(LLAMA_8B) == ALONE.under_way(LLAMA_8B, trained=True) == ALONE.waiting(LLAMA_8B) == 0


@pytest.mark.parametrize("engine", ["fsdp2", "zero2", "zero3"])
def test_weights_in_4_bits_are_not_spread(engine):
    with pytest.raises(
        InputError, match=f"engine {engine}: qlora's 4-bit weights are whole on every GPU; set engine ddp"
    ):
        sharding_of(engine, QloraMethod(), 4, False)


def test_nothing_is_offloaded_that_is_not_spread():
    with pytest.raises(InputError, match=r"resources\.train\.offload: .* set engine fsdp2"):
        sharding_of("auto", FullMethod(), 1, True)


@pytest.mark.parametrize(
    ("method", "workers", "engine"),
    [(FullMethod(), 1, "ddp"), (FullMethod(), 2, "fsdp2"), (LoraMethod(), 8, "ddp"), (QloraMethod(), 8, "ddp")],
)
def test_only_a_full_model_is_spread_by_itself(method, workers, engine):
    assert sharding_of("auto", method, workers, False).engine == engine


@pytest.mark.parametrize("engine", ["fsdp2", "zero2", "zero3"])
def test_moments_of_8_bits_are_not_spread(engine):
    with pytest.raises(InputError, match=rf"adamw_8bit can't be spread \(resources\.train\.engine {engine}\)"):
        sharding_of(engine, FullMethod(), 2, False, "adamw_8bit")


def test_whole_base_weights_are_there_for_dora_or_it_is_refused():
    with pytest.raises(InputError, match=r"zero3 can't begin train\.method\.dora"):
        sharding_of("zero3", LoraMethod(dora=True), 2, False)
    assert sharding_of("zero2", LoraMethod(dora=True), 2, False).engine == "zero2"
