from __future__ import annotations

import dataclasses

import pytest

from metier.errors import InputError
from metier.training.fit import ADAM, ADAM_8BIT, PAGED, Card, choose, host_bytes, predicted_bytes
from metier.training.model import FullMethod, LoraMethod, QloraMethod
from metier.training.shape import LLAMA_8B, LLAMA_70B
from metier.training.sharding import ALONE, Sharding

GIB = 2**30


def card(gib: float) -> Card:
    return Card(memory=gib * GIB, flops=7e14, bandwidth=3e12)


@pytest.mark.parametrize(
    ("method", "tokens", "recomputed", "dense", "optimiser", "gib"),
    [
        (QloraMethod(), 8192, 0, True, ADAM, 43.66),
        (QloraMethod(), 4096, 0, False, ADAM, 20.80),
        (LoraMethod(), 8192, 0, True, ADAM, 43.66),
        (FullMethod(), 4096, 0, True, ADAM_8BIT, 122.21),
    ],
)
def test_predictions_are_within_a_tenth_of_what_an_h200_measured(method, tokens, recomputed, dense, optimiser, gib):
    """The measured lines of benchmarks/README.md."""
    assert predicted_bytes(LLAMA_8B, method, tokens, recomputed, dense, optimiser) == pytest.approx(gib * GIB, rel=0.1)


@pytest.mark.parametrize(
    ("engine", "method", "workers", "tokens", "recomputed", "offload", "gib"),
    [
        ("fsdp2", FullMethod(), 1, 4096, 0, False, 54.86),
        ("fsdp2", FullMethod(), 1, 4096, 8, False, 49.55),
        ("fsdp2", FullMethod(), 1, 4096, 4, False, 51.92),
        ("fsdp2", FullMethod(), 1, 8192, 2, False, 58.20),
        ("fsdp2", FullMethod(), 1, 4096, 4, True, 10.26),
        ("fsdp2", FullMethod(), 2, 4096, 0, False, 34.43),
        ("fsdp2", FullMethod(), 2, 4096, 8, False, 31.65),
        ("fsdp2", LoraMethod(), 1, 8192, 0, False, 15.34),
        ("fsdp2", LoraMethod(), 1, 4096, 8, False, 8.80),
        ("fsdp2", LoraMethod(), 2, 8192, 0, False, 13.07),
        ("zero3", FullMethod(), 1, 4096, 0, False, 53.09),
        ("zero3", FullMethod(), 1, 4096, 8, True, 8.34),
        ("zero3", FullMethod(), 2, 4096, 0, False, 35.45),
        ("zero3", LoraMethod(), 1, 4096, 0, False, 10.16),
        ("zero3", LoraMethod(), 2, 4096, 0, False, 10.63),
        ("zero2", FullMethod(), 1, 4096, 0, False, 57.34),
    ],
)
def test_predictions_for_spread_weights_are_within_a_tenth_of_what_was_measured(
    engine, method, workers, tokens, recomputed, offload, gib
):
    """A Llama-3-8B of 8 layers, each worker a process on one H200; torch 2.11.0, DeepSpeed 0.19.8, 2026-11-29 and 30."""
    shape = dataclasses.replace(LLAMA_8B, layers=8)
    sharding = Sharding(engine, workers, offload)
    assert predicted_bytes(shape, method, tokens, recomputed, sharding=sharding) == pytest.approx(gib * GIB, rel=0.1)


def test_a_large_card_recomputes_nothing_and_unpacks_4_bit_weights_once():
    fit = choose(LLAMA_8B, QloraMethod(), card(80), most_tokens=8192, longest=2048)
    assert (fit.checkpointing, fit.dense, fit.optimiser) == ("none", True, ADAM)
    assert fit.predicted_bytes < 80 * GIB


def test_an_8b_model_fits_into_24_gb_at_rows_of_4096_tokens():
    fit = choose(LLAMA_8B, QloraMethod(), card(24e9 / GIB), most_tokens=16384, longest=4096)
    assert fit.piece_tokens >= 4096
    assert not fit.dense
    assert fit.predicted_bytes < 24e9


def test_less_memory_never_means_more_tokens_a_second():
    fits = [choose(LLAMA_8B, QloraMethod(), card(gib), 16384, 2048) for gib in (12, 16, 24, 40, 80, 140)]
    assert [f.tokens_per_second for f in fits] == sorted(f.tokens_per_second for f in fits)
    assert fits[0].recomputed > fits[2].recomputed
    assert fits[0].checkpointing in ("selective", "full")


def test_what_is_asked_for_is_kept_to():
    fit = choose(LLAMA_8B, LoraMethod(), card(80), 8192, 2048, checkpointing="full", optimiser=ADAM_8BIT)
    assert (fit.checkpointing, fit.optimiser) == ("full", ADAM_8BIT)


def test_an_exact_optimiser_goes_before_one_of_8_bits_and_that_before_one_in_the_host_s_memory():
    chosen = [choose(LLAMA_8B, FullMethod(), card(gib), 8192, 2048) for gib in (190, 139, 95)]
    assert [fit.optimiser for fit in chosen] == [ADAM, ADAM_8BIT, PAGED]
    assert [fit.host_bytes for fit in chosen] == [0, 0, 2 * LLAMA_8B.weights]


def test_moments_of_8_bits_go_to_the_host_where_the_card_has_no_room_for_them():
    chosen = [choose(LLAMA_8B, FullMethod(), card(gib), 8192, 2048, optimiser=ADAM_8BIT) for gib in (190, 95)]
    assert [fit.optimiser for fit in chosen] == [ADAM_8BIT, PAGED]


@pytest.mark.parametrize(
    ("method", "workers", "says"),
    [
        (
            FullMethod(),
            1,
            r"train\.method full: 7\d\.\d GiB are needed .* card gives 75\.2; take engine fsdp2 on 2 workers, or",
        ),
        (LoraMethod(), 4, r"lora: 13\d\.\d GiB are needed .* take engine fsdp2 on 4 workers, or"),
        (QloraMethod(rank=512), 4, r"lower train\.max_tokens and train\.pack_tokens, or take a GPU with more memory"),
    ],
)
def test_what_fits_nowhere_is_refused_with_the_numbers_and_the_mend(method, workers, says):
    shape = LLAMA_8B if isinstance(method, FullMethod) else LLAMA_70B
    with pytest.raises(InputError, match=says) as fault:
        choose(shape, method, card(80), 8192, 2048, sharding=Sharding("ddp", workers))
    assert "\n" not in str(fault.value)


def test_the_mend_that_is_named_does_mend():
    with pytest.raises(InputError, match="take engine fsdp2 on 24 workers, or fsdp2 with resources.train.offload"):
        choose(LLAMA_70B, FullMethod(), card(80), 4096, 2048, sharding=Sharding("fsdp2", 16))
    for mended in (Sharding("fsdp2", 24), Sharding("fsdp2", 16, offload=True)):
        fit = choose(LLAMA_70B, FullMethod(), card(80), 4096, 2048, sharding=mended)
        assert fit.predicted_bytes < 80 * GIB
        assert (fit.engine, fit.workers) == ("fsdp2", mended.workers)


def test_more_workers_hold_less_each_where_weights_are_spread_and_not_where_they_are_not():
    def peak(engine: str, workers: int) -> int:
        return predicted_bytes(LLAMA_8B, FullMethod(), 4096, 0, sharding=Sharding(engine, workers))

    for engine in ("fsdp2", "zero3", "zero2"):
        assert peak(engine, 8) < peak(engine, 4)
    assert peak("zero3", 8) < peak("zero2", 8) < peak("ddp", 8) == predicted_bytes(LLAMA_8B, FullMethod(), 4096, 0)


def test_offloading_moves_memory_to_the_host():
    here, away = Sharding("zero3", 4), Sharding("zero3", 4, offload=True)
    spared = [predicted_bytes(LLAMA_8B, FullMethod(), 4096, 0, sharding=s) for s in (here, away)]
    assert spared[0] - spared[1] == pytest.approx(16 * LLAMA_8B.weights / 4, rel=1e-3)
    assert host_bytes(LLAMA_8B, FullMethod(), ADAM, here) == 0
    assert host_bytes(LLAMA_8B, FullMethod(), ADAM, away) == pytest.approx(18 * LLAMA_8B.weights / 4, rel=1e-3)
    assert host_bytes(LLAMA_70B, LoraMethod(), ADAM, Sharding("fsdp2", 8, True)) > 2 * LLAMA_70B.weights / 8


def test_spread_moments_are_not_of_8_bits():
    with pytest.raises(InputError, match=r"train\.optimiser adamw_8bit: engine fsdp2 .* leave it at auto"):
        choose(LLAMA_8B, FullMethod(), card(80), 8192, 2048, optimiser=ADAM_8BIT, sharding=Sharding("fsdp2", 4))


def test_rows_are_longer_where_each_has_to_gather_the_weights():
    """Gathering takes as long for a short row as for a long one."""
    slow = dataclasses.replace(card(80), link=5e9)
    alone = choose(LLAMA_70B, LoraMethod(), dataclasses.replace(card(200), link=5e9), 8192, 512, sharding=ALONE)
    spread = choose(LLAMA_70B, LoraMethod(), slow, 8192, 512, sharding=Sharding("fsdp2", 4))
    assert spread.piece_tokens == 8192
    assert spread.recomputed > alone.recomputed


def test_every_kind_of_room_counts():
    base = predicted_bytes(LLAMA_8B, QloraMethod(), 4096, 0, dense=False)
    assert predicted_bytes(LLAMA_8B, QloraMethod(), 8192, 0, dense=False) > base
    assert predicted_bytes(LLAMA_8B, QloraMethod(), 4096, 16, dense=False) < base
    assert predicted_bytes(LLAMA_8B, QloraMethod(), 4096, 0, dense=True) - base == pytest.approx(10.2e9, rel=0.05)
    assert predicted_bytes(LLAMA_8B, QloraMethod(rank=64), 4096, 0, dense=False) > base


def test_magnitudes_beside_adapters_take_a_multiple_of_what_is_kept():
    class Dora(LoraMethod):
        dora: bool = True

    plain, dora = (predicted_bytes(LLAMA_8B, method, 2048, 0) for method in (LoraMethod(), Dora()))
    kept = 2048 * 32 * LLAMA_8B.kept
    assert 2 * kept < dora - plain < 4 * kept
