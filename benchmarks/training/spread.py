"""Training over several GPUs: each engine's speed, and its peak memory beside what was predicted for it.

    python -m benchmarks.training.spread --model llama-8b-8 --layers 8 --output spread.json

A random-weight Llama-3-8B of that many layers, full rows of 4,096 tokens, two a GPU in each step; every case in processes of
its own, one a GPU. The peak is that of a step, and what loading took stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import described
from benchmarks.training.corpus import SHAPE, make_model

PACKAGES = ("torch", "triton", "transformers", "peft", "deepspeed")
ROW, TEXT, ROWS_A_GPU, STEPS = 4096, 1024, 2, 6


@dataclass(frozen=True)
class Case:
    """What a group of GPUs is to train, and how."""

    engine: str
    method: str
    checkpointing: str = "none"
    offload: bool = False
    rank: int = 16
    row: int = ROW  # tokens
    text: int = TEXT  # tokens of each example
    tokens: int = 0  # of a step; ROWS_A_GPU rows for each GPU without it
    steps: int = STEPS


CASES = (
    Case("fsdp2", "lora"),
    Case("fsdp2", "full"),
    Case("zero3", "lora"),
    Case("zero3", "full"),
    Case("zero3", "full", "full", offload=True),
    Case("zero2", "full"),
    Case("zero2", "full", "full", offload=True),
)


def on_gpus(world: int, folder: Path, case: Case) -> list[dict[str, Any]]:
    """What each of `world` GPUs measured of a case, in processes of their own, with the model in `folder`."""
    import torch

    with tempfile.TemporaryDirectory() as work:
        torch.multiprocessing.spawn(_worker, (world, work, str(folder), case), nprocs=world)
        return [json.loads(Path(work, str(rank)).read_text()) for rank in range(world)]


def _worker(rank: int, world: int, work: str, folder: str, case: Case) -> None:
    import torch
    import torch.distributed as distributed

    from metier.training.engine import Peers

    os.environ["NCCL_NVLS_ENABLE"] = "0"  # NVLink multicast: a fault in it takes down every GPU of the host
    torch.cuda.set_device(rank)
    distributed.init_process_group(
        "nccl", init_method=f"file://{work}/group", rank=rank, world_size=world, device_id=torch.device(f"cuda:{rank}")
    )

    def least(tensor: Any) -> None:
        distributed.all_reduce(tensor, distributed.ReduceOp.MIN)

    found = course(Peers(rank, world, distributed.all_reduce, least), folder, case)
    Path(work, str(rank)).write_text(json.dumps(found))
    distributed.barrier()
    distributed.destroy_process_group()


def course(peers: Any, folder: str, case: Case) -> dict[str, Any]:
    """Losses, tokens a second, and bytes at the peaks of loading and of a step."""
    import torch

    from metier.training.encoding import IGNORED, Example
    from metier.training.gradient import Pieces, Share, arithmetic, backward, refuse_severed
    from metier.training.model import FullMethod, LoraMethod
    from metier.training.packs import alone
    from metier.training.preparation import prepared
    from metier.training.recipe import Recipe

    device = f"cuda:{peers.rank}"
    tokens = case.tokens or ROWS_A_GPU * case.row * peers.world
    method = FullMethod() if case.method == "full" else LoraMethod(rank=case.rank)
    recipe = Recipe(
        learning_rate=1e-4,
        batch_tokens=tokens,
        piece_tokens=case.row,
        checkpointing=case.checkpointing,  # type: ignore[arg-type]
    )
    engine, fit = prepared(folder, method, recipe, device, case.text, peers, case.engine, case.offload)
    assert fit is not None
    loaded = torch.cuda.max_memory_allocated(device)
    words = json.loads((Path(folder) / "config.json").read_text())["vocab_size"]
    ids = torch.randint(3, words, (tokens // case.text, case.text), generator=torch.Generator().manual_seed(0)).tolist()
    packs = alone([Example(row, [IGNORED] * 8 + row[8:]) for row in ids])
    pieces = Pieces(fit.piece_tokens, 0, device, arithmetic("auto", device), True)
    engine.model.train()
    torch.cuda.reset_peak_memory_stats(device)
    losses, begun = [], 0.0
    for step in range(case.steps):
        if step == 2:  # kernels are compiled in the first, and DeepSpeed looks at the order of the second
            torch.cuda.synchronize(device)
            begun = time.perf_counter()
        losses.append(float(backward(engine, packs, Share.of(packs, pieces, engine), pieces)))
        if step == 0:
            refuse_severed(engine.magnitudes())
            torch.cuda.reset_peak_memory_stats(device)  # looking at gradients gathers them
        engine.step(1e-4, 1.0)
    torch.cuda.synchronize(device)
    seconds = (time.perf_counter() - begun) / (case.steps - 2)
    return {
        "losses": losses,
        "tokens_per_second": round(tokens / seconds),
        "peak_bytes": torch.cuda.max_memory_allocated(device),
        "loading_bytes": loaded,
        "predicted_bytes": fit.predicted_bytes,
        "row": fit.piece_tokens,
        "recomputed": fit.recomputed,
    }


def line_of(world: int, folder: Path, case: Case) -> dict[str, Any]:
    """A case's figures: the slowest GPU's speed and the fullest one's memory."""
    found = on_gpus(world, folder, case)
    most = {key: max(one[key] for one in found) for key in ("peak_bytes", "loading_bytes", "predicted_bytes")}
    slowest = min(one["tokens_per_second"] for one in found)
    return asdict(case) | found[0] | most | {"workers": world, "tokens_per_second": slowest}


def table(lines: list[dict[str, Any]]) -> str:
    """The lines as Markdown."""
    out = (
        "| engine | GPUs | tokens/s | peak GiB | predicted GiB | loading GiB |\n| --- | --- | --- | --- | --- | --- |\n"
    )
    for line in lines:
        name = f"{line['engine']} {line['method']}" + (", offloaded" if line["offload"] else "")
        name += f", {line['recomputed']} layers computed twice" if line["recomputed"] else ""
        gib = [f"{line[key] / 2**30:.2f}" for key in ("peak_bytes", "predicted_bytes", "loading_bytes")]
        out += f"| {name} | {line['workers']} | {line['tokens_per_second']:,} | {' | '.join(gib)} |\n"
    return out


def main() -> None:
    """Reads the command line."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder for the model; made where missing")
    parser.add_argument("--layers", type=int, default=SHAPE["num_hidden_layers"], help="of the model")
    parser.add_argument("--workers", type=int, default=torch.cuda.device_count(), help="GPUs to take; all without it")
    parser.add_argument(
        "--case", action="append", type=int, choices=range(len(CASES)), help="by number; all without it"
    )
    parser.add_argument("--output", type=Path, help="JSON with every figure, the machine and the versions")
    given = parser.parse_args()
    make_model(given.model, num_hidden_layers=given.layers)
    torch.cuda.empty_cache()
    lines = []
    for case in [CASES[number] for number in given.case] if given.case else CASES:
        lines.append(line_of(given.workers, given.model, case))
        print(table(lines[-1:]).splitlines()[-1], flush=True)
        if given.output:
            machine = described(PACKAGES) | {"gpu": torch.cuda.get_device_name(0)}
            given.output.write_text(json.dumps({"machine": machine, "lines": lines}, indent=1) + "\n")
    print(table(lines))


if __name__ == "__main__":
    main()
