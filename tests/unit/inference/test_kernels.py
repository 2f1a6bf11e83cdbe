from __future__ import annotations

import pytest

from metier.inference import kernels


@pytest.mark.parametrize(("capability", "executes"), [((7, 0), False), ((7, 5), True), ((9, 0), True)])
def test_a_gpu_answers_by_its_capability(capability, executes):
    said, why = kernels._on_gpu("w4a16", capability)
    assert said is executes
    assert f"{capability[0]}.{capability[1]}" in why


def test_a_wrong_product_and_a_missing_kernel_are_told_apart(monkeypatch):
    import torch

    before = torch.get_default_dtype()
    try:
        monkeypatch.setattr(kernels, "_w8a8_product", lambda x: (x, 2 * x))
        executes, why = kernels._on_cpu("w8a8")
        assert not executes
        assert "wrong products" in why

        def missing(x):
            raise RuntimeError("not implemented for 'Float'\nstack")

        monkeypatch.setattr(kernels, "_w8a8_product", missing)
        executes, why = kernels._on_cpu("w8a8")
        assert not executes
        assert "not implemented for 'Float'" in why
        assert "\n" not in why
    finally:
        torch.set_default_dtype(before)
