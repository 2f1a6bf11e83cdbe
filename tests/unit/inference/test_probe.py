from __future__ import annotations

import subprocess

import pytest

from metier.inference import probe
from metier.inference.probe import can_execute, computes_bfloat16, cpu_flags, engine_dtype


@pytest.fixture(autouse=True)
def asked_afresh():
    can_execute.cache_clear()
    yield
    can_execute.cache_clear()


def test_flags_are_read_on_x86_and_arm(tmp_path):
    x86, arm = tmp_path / "x86", tmp_path / "arm"
    x86.write_text("processor\t: 0\nmodel name\t: any\nflags\t\t: fpu avx2 avx512_bf16\n")
    arm.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert computes_bfloat16(cpu_flags(x86))
    assert computes_bfloat16(cpu_flags(arm))
    assert cpu_flags(tmp_path / "missing") == frozenset()


@pytest.mark.parametrize(
    ("asked", "gpus", "flags", "dtype"),
    [
        ("auto", 0, {"avx2", "avx512_bf16"}, "bfloat16"),
        ("auto", 0, {"avx2"}, "float32"),
        ("auto", 1, {"avx2"}, "auto"),
        ("bfloat16", 0, {"avx2"}, "bfloat16"),
        ("float32", 0, {"avx512_bf16"}, "float32"),
    ],
)
def test_auto_is_bfloat16_only_where_it_is_computed(asked, gpus, flags, dtype):
    assert engine_dtype(asked, gpus=gpus, flags=frozenset(flags)) == dtype


@pytest.mark.parametrize("weights", ["w4a16", "w8a8"])
def test_the_real_kernel_is_asked_and_its_reason_is_in_words(weights):
    executes, why = can_execute(weights)
    assert weights in why
    assert "on this processor" in why or "compute capability" in why
    if computes_bfloat16(cpu_flags()):
        assert executes


def test_a_kernel_that_crashes_is_a_no_with_its_code(monkeypatch):
    dead = subprocess.CompletedProcess([], -4, stdout="", stderr="warming up\nillegal instruction\n")
    monkeypatch.setattr(probe.subprocess, "run", lambda *a, **k: dead)
    monkeypatch.setattr(probe.importlib.util, "find_spec", lambda name: object())
    assert can_execute("w4a16") == (False, "vLLM's w4a16 kernel ended with code -4: illegal instruction")


def test_without_vllm_nothing_executes(monkeypatch):
    monkeypatch.setattr(probe.importlib.util, "find_spec", lambda name: None)
    assert can_execute("w8a8") == (False, "vLLM is not installed")
