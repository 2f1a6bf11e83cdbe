"""FSDP2 and ZeRO-3 on two GPUs with NCCL, on the fast path, and how quickly a full 8B model trains on them.

Run by itself where there are two: `pytest -m gpu tests/gpu/test_two_gpus.py -s`. One of the tests prints figures.
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from metier.training.encoding import IGNORED, Example
from metier.training.engine import Peers
from metier.training.gradient import Pieces, Share, arithmetic, backward, refuse_severed
from metier.training.model import FullMethod, LoraMethod
from metier.training.packs import alone
from metier.training.preparation import prepared
from metier.training.recipe import Recipe

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs"),
]
METHODS = {"lora": LoraMethod(rank=8), "full": FullMethod()}
SPREAD = ["fsdp2", *(["zero3"] if importlib.util.find_spec("deepspeed") else [])]
NOISE = 0.02  # of bfloat16 in a loss
LLAMA_3_8B: dict[str, Any] = {
    "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "rope_theta": 500000.0,
}  # fmt: skip
SMALL: dict[str, Any] = {
    "vocab_size": 8192, "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 8,
    "num_attention_heads": 8, "num_key_value_heads": 4,
}  # fmt: skip
SHARD = 1 << 30  # bytes of a weight file, roughly


def random_model(folder: Path, sizes: dict[str, Any]) -> str:
    """A Llama of these sizes with random weights in bfloat16, drawn on a GPU and written file by file."""
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(max_position_embeddings=8192, dtype="bfloat16", **sizes)
    config.save_pretrained(folder)
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in LlamaForCausalLM(config).state_dict().items()}
    torch.manual_seed(0)
    files: list[dict[str, torch.Tensor]] = [{}]
    where: dict[str, str] = {}
    for name, shape in shapes.items():
        if sum(weight.nbytes for weight in files[-1].values()) > SHARD:
            save_file(files[-1], folder / f"part-{len(files)}.safetensors", metadata={"format": "pt"})
            files.append({})
        weight = torch.ones(shape) if len(shape) == 1 else torch.randn(shape, device="cuda") * 0.02
        files[-1][name] = weight.to(torch.bfloat16).cpu()
        where[name] = f"part-{len(files)}.safetensors"
        files[:-1] = [{} for _ in files[:-1]]  # written
    save_file(files[-1], folder / f"part-{len(files)}.safetensors", metadata={"format": "pt"})
    index = {"metadata": {"total_size": 0}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    torch.cuda.empty_cache()
    return str(folder)


def course(peers: Peers, folder: str, engine: str, method: str, texts: int, length: int, steps: int) -> dict[str, Any]:
    """Losses, seconds a step and peak memory of some steps over `texts` texts of a `length`."""
    device = f"cuda:{peers.rank}"
    recipe = Recipe(learning_rate=1e-4, batch_tokens=texts * length, checkpointing="full")
    torch.cuda.set_device(device)
    torch.cuda.reset_peak_memory_stats(device)
    found, _ = prepared(folder, METHODS[method], recipe, device, length, peers, engine)
    loaded = torch.cuda.max_memory_allocated(device)
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 8000, (texts, length), generator=draw).tolist()
    packs = alone([Example(row, [IGNORED] * 8 + row[8:]) for row in ids])
    pieces = Pieces(max(length, texts * length // (2 * peers.world)), 0, device, arithmetic("auto", device), True)
    found.model.train()
    losses, clock = [], time.perf_counter()
    for step in range(steps):
        if step == 1:  # the first one compiles kernels
            torch.cuda.synchronize(device)
            clock = time.perf_counter()
        losses.append(float(backward(found, packs, Share.of(packs, pieces, found), pieces)))
        if step == 0:
            refuse_severed(found.magnitudes())
        found.step(1e-4, 1.0)
    torch.cuda.synchronize(device)
    seconds = (time.perf_counter() - clock) / max(1, steps - 1)
    peak = torch.cuda.max_memory_allocated(device)
    return {"losses": losses, "seconds": seconds, "peak": peak, "loaded": loaded, "tokens": texts * length}


def worker(rank: int, world: int, work: str, arguments: tuple[Any, ...]) -> None:
    import torch.distributed as distributed

    os.environ["NCCL_NVLS_ENABLE"] = "0"  # NVLink multicast stays off
    torch.cuda.set_device(rank)
    distributed.init_process_group(
        "nccl", init_method=f"file://{work}/group", rank=rank, world_size=world, device_id=torch.device(f"cuda:{rank}")
    )

    def least(tensor: torch.Tensor) -> None:
        distributed.all_reduce(tensor, distributed.ReduceOp.MIN)

    found = course(Peers(rank, world, distributed.all_reduce, least), *arguments)
    Path(work, str(rank)).write_text(json.dumps(found))
    distributed.barrier()
    distributed.destroy_process_group()


def on_gpus(world: int, work: Path, *arguments: Any) -> list[dict[str, Any]]:
    """What each of `world` GPUs measured, in processes of their own."""
    work.mkdir()
    torch.multiprocessing.spawn(worker, (world, str(work), arguments), nprocs=world)
    return [json.loads((work / str(rank)).read_text()) for rank in range(world)]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return random_model(tmp_path_factory.mktemp("small"), SMALL)


@pytest.fixture(scope="module")
def one_gpu(small, tmp_path_factory):
    work = tmp_path_factory.mktemp("one")
    return {method: on_gpus(1, work / method, small, "ddp", method, 16, 256, 4)[0] for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("engine", SPREAD)
def test_two_gpus_have_the_losses_of_one_in_less_memory(engine, method, small, one_gpu, tmp_path):
    both = on_gpus(2, tmp_path / "two", small, engine, method, 16, 256, 4)
    expected = one_gpu[method]
    for found in both:
        print(engine, method, {"peak GB": found["peak"] / 1e9, "alone GB": expected["peak"] / 1e9}, found["losses"])
        assert found["losses"] == pytest.approx(expected["losses"], rel=NOISE)
        assert found["peak"] < expected["peak"]


def test_a_full_8b_model_on_two_gpus(tmp_path):
    """Sixteen bytes a weight would not fit on one card of 80 GB; two hold half each. Prints what it costs."""
    (tmp_path / "model").mkdir()
    begun = time.perf_counter()
    folder = random_model(tmp_path / "model", LLAMA_3_8B)
    made = time.perf_counter()
    both = on_gpus(2, tmp_path / "two", folder, "fsdp2", "full", 32, 1024, 3)
    slowest = max(found["seconds"] for found in both)
    print(
        f"\nLlama-3-8B, full, fsdp2 on 2 GPUs: {both[0]['tokens'] / slowest:,.0f} tokens/s, peak "
        f"{max(found['peak'] for found in both) / 2**30:.1f} GiB a GPU, {both[0]['loaded'] / 2**30:.1f} at the peak of loading; "
        f"model made in {made - begun:.0f} s, loaded and trained in {time.perf_counter() - made:.0f} s; {both[0]['losses']}"
    )
    assert both[0]["losses"] == both[1]["losses"]
    assert both[0]["losses"][-1] < both[0]["losses"][0]
    assert max(found["peak"] for found in both) < 0.75 * 16 * 8.03e9
