from __future__ import annotations

import dataclasses

import pytest

from metier.training.course import StepReport
from metier.training.meter import WINDOW, Meter, Work
from metier.training.model import FullMethod, LoraMethod, QloraMethod
from metier.training.shape import Shape

LLAMA_8B = Shape(layers=32, width=4096, queries=4096, keys=1024, inner=14336, heads=32, words=128_256, tied=False)
STEP = StepReport(
    step=1, steps=100, loss=1.0, learning_rate=1e-4, grad_norm=1.0, tokens=8000, computed_tokens=10_000, labels=2000,
    seconds=2.0, peak_bytes=5 << 30, device_flops=1e6,
)  # fmt: skip


def test_padding_counts_neither_as_tokens_nor_as_work():
    pace = Meter(work=Work(100.0, 10.0)).read(STEP)
    assert pace.tokens_per_second == 4000
    assert pace.padding_share == pytest.approx(0.2)
    assert pace.mfu == pytest.approx((8000 * 100 + 2000 * 10) / 2 / 1e6)
    assert pace.peak_bytes == 5 << 30
    assert pace.seconds_left == 198


def test_a_shared_beginning_counts_once():
    shared = dataclasses.replace(STEP, computed_tokens=3000)
    pace = Meter(work=Work(100.0, 0.0)).read(shared)
    assert (pace.tokens_per_second, pace.padding_share) == (4000, 0)
    assert pace.mfu == pytest.approx(3000 * 100 / 2 / 1e6)


def test_workers_share_the_work_and_each_costs():
    now = iter([0.0, 1800.0])
    pace = Meter(work=Work(100.0, 0.0), workers=4, usd_per_hour=3.0, clock=lambda: next(now)).read(STEP)
    assert pace.mfu == pytest.approx(8000 * 100 / 2 / 4e6)
    assert pace.cost_usd == pytest.approx(3.0 * 4 * 0.5)  # half an hour by the clock, evaluations included


def test_what_is_not_known_is_not_told():
    pace = Meter(work=Work(100.0, 0.0)).read(dataclasses.replace(STEP, device_flops=0.0))
    assert (pace.mfu, pace.cost_usd) == (None, None)


def test_the_pace_is_that_of_the_last_steps():
    meter = Meter()
    for _ in range(WINDOW):
        meter.read(dataclasses.replace(STEP, seconds=200.0))  # the first steps compile
    for step in range(WINDOW):
        pace = meter.read(dataclasses.replace(STEP, step=step))
    assert pace.tokens_per_second == 4000


def test_the_operations_of_an_8b_model():
    lora, qlora, full = (Work.of(LLAMA_8B, m) for m in (LoraMethod(rank=16), QloraMethod(rank=16), FullMethod()))
    assert lora == qlora
    assert lora.a_token == pytest.approx(4 * 6.98e9 + 6 * 41.9e6, rel=1e-3)
    assert lora.a_label == 4 * 128_256 * 4096
    assert full.a_token == 6 * LLAMA_8B.linear
