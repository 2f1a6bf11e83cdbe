from __future__ import annotations

import json

import pytest

from metier.errors import InputError
from metier.training.fit import ADAM, ADAM_8BIT, Card, Shape, choose, predicted_bytes
from metier.training.model import FullMethod, LoraMethod, QloraMethod

LLAMA_8B = Shape(layers=32, width=4096, queries=4096, keys=1024, inner=14336, heads=32, words=128256, tied=False)
GIB = 2**30


def card(gib: float) -> Card:
    return Card(memory=gib * GIB, flops=7e14, bandwidth=3e12)


def test_a_shape_is_read_from_the_model_s_own_file(tmp_path):
    known = {
        "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": False,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(known))
    assert Shape.of(str(tmp_path)) == LLAMA_8B
    assert LLAMA_8B.linear + LLAMA_8B.others == 8_030_261_248  # the published number of weights
    assert LLAMA_8B.adapters(16) == 41_943_040  # PEFT's count for all linear layers
    del known["intermediate_size"]
    (tmp_path / "config.json").write_text(json.dumps(known))
    assert Shape.of(str(tmp_path)) is None


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


def test_moments_in_8_bits_only_where_float32_has_no_room():
    assert choose(LLAMA_8B, FullMethod(), card(190), 8192, 2048).optimiser == ADAM
    assert choose(LLAMA_8B, FullMethod(), card(139), 8192, 2048).optimiser == ADAM_8BIT


def test_what_fits_nowhere_is_refused_with_the_numbers():
    with pytest.raises(InputError, match=r"train\.method full: 9\d\.\d GiB are needed .* the card gives 75\.2"):
        choose(LLAMA_8B, FullMethod(), card(80), 8192, 2048)


def test_every_kind_of_room_counts():
    base = predicted_bytes(LLAMA_8B, QloraMethod(), 4096, 0, dense=False)
    assert predicted_bytes(LLAMA_8B, QloraMethod(), 8192, 0, dense=False) > base
    assert predicted_bytes(LLAMA_8B, QloraMethod(), 4096, 16, dense=False) < base
    assert predicted_bytes(LLAMA_8B, QloraMethod(), 4096, 0, dense=True) - base == pytest.approx(10.2e9, rel=0.05)
    assert predicted_bytes(LLAMA_8B, QloraMethod(rank=64), 4096, 0, dense=False) > base
