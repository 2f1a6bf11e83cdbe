"""`python -m metier.inference.kernels w4a16`: runs vLLM's own kernel on a small matrix, in a process that may crash.

Prints one JSON line `{"executes": ..., "why": ...}`. A GPU answers by its compute capability: its kernels come in one
build. A CPU build has different kernels for different processors, so there the product is computed and compared.
"""

from __future__ import annotations

import json
import sys
from typing import Any

ROWS, INPUTS, OUTPUTS, GROUP = 4, 512, 64, 64
TOLERANCE = 0.05  # relative; bfloat16 keeps 8 bits, int8 activations about 7
GPU_CAPABILITY = {"w4a16": (7, 5), "w8a8": (7, 5)}


def main(weights: str) -> None:
    """Says whether the kernels for `weights` work."""
    import torch

    if torch.cuda.is_available():
        executes, why = _on_gpu(weights, torch.cuda.get_device_capability())
    else:
        executes, why = _on_cpu(weights)
    print(json.dumps({"executes": executes, "why": why}))


def _on_gpu(weights: str, capability: tuple[int, int]) -> tuple[bool, str]:
    needed = GPU_CAPABILITY[weights]
    held = ".".join(map(str, capability))
    if capability >= needed:
        return True, f"the GPU has compute capability {held}"
    return False, f"the GPU has compute capability {held}; the {weights} kernels need {'.'.join(map(str, needed))}"


def _on_cpu(weights: str) -> tuple[bool, str]:
    import torch
    from vllm.platforms import current_platform

    from metier.inference.probe import engine_dtype

    current_platform.import_kernels()
    if torch.cpu._is_amx_tile_supported():
        torch.cpu._init_amx()  # a process must ask for the tile registers; an engine's first bfloat16 product does
    dtype = getattr(torch, engine_dtype("auto"))
    torch.set_default_dtype(dtype)
    torch.manual_seed(0)
    name = str(dtype).removeprefix("torch.")
    product = {"w4a16": _w4a16_product, "w8a8": _w8a8_product}[weights]
    try:
        got, expected = product(torch.randn(ROWS, INPUTS, dtype=dtype))
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        return False, f"vLLM's CPU kernel for {weights} does not run in {name} on this processor ({reason})"
    off = float((got.float() - expected.float()).norm() / expected.float().norm())
    if not off < TOLERANCE:  # also when it is not a number
        return False, f"vLLM's CPU kernel for {weights} gives wrong products in {name} on this processor"
    return True, f"vLLM's CPU kernel for {weights} gave the right product in {name} on this processor"


def _w4a16_product(x: Any) -> tuple[Any, Any]:
    """The kernel's product with a group-quantised int4 matrix, and the same from the dequantised matrix."""
    import torch
    from vllm import _custom_ops as ops
    from vllm.model_executor.kernels.linear.mixed_precision.cpu import _get_isa_hint

    quantised = torch.randint(0, 16, (INPUTS, OUTPUTS), dtype=torch.int32)
    scales = torch.rand(INPUTS // GROUP, OUTPUTS, dtype=x.dtype) * 0.1 + 0.01
    shifts = torch.arange(8, dtype=torch.int32) * 4
    packed = (quantised.view(INPUTS, OUTPUTS // 8, 8) << shifts).sum(-1, dtype=torch.int32)
    # the layout that vLLM's loader makes: blocks of 16 outputs, contiguous over the inputs
    blocked = packed.view(INPUTS, -1, 2).permute(1, 0, 2).reshape(-1, INPUTS * 2).contiguous()
    got = ops.cpu_gemm_wna16(
        input=x, q_weight=blocked, scales=scales, zeros=None, g_idx=None, bias=None,
        pack_factor=8, isa_hint=_get_isa_hint(scales.dtype),
    )  # fmt: skip
    weight = (quantised.float() - 8) * scales.float().repeat_interleave(GROUP, 0)
    return got, x.float() @ weight


def _w8a8_product(x: Any) -> tuple[Any, Any]:
    """The kernel's product with int8 weights and activations quantised on the way, and the exact one."""
    import torch
    from vllm import _custom_ops as ops

    # Spread as a model's weights are: a processor without VNNI sums pairs of int8 products in 16 bits, which is too little
    # for the largest ones. Of normal weights few are so large (2 % error), of uniform ones many (13 %).
    whole = torch.randn(OUTPUTS, INPUTS, dtype=torch.float32)
    scales = whole.abs().amax(1, keepdim=True) / 127
    weight = (whole / scales).round().to(torch.int8)
    handler = ops.create_onednn_scaled_mm(weight.t(), scales, x.dtype, True, False, 32)
    quantised, x_scale, x_zero = ops.onednn_scaled_int8_quant(x, None, None, True)
    got = torch.empty(x.shape[0], OUTPUTS, dtype=x.dtype)
    ops.onednn_scaled_mm(handler, quantised, got, x_scale, x_zero, None, None)
    return got, x.float() @ (weight.float() * scales).t()


if __name__ == "__main__":
    main(sys.argv[1])
