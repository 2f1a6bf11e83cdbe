"""Checkpoints: everything that training needs to go on as if it had never stopped. Safetensors and JSON only.

A checkpoint is a folder `step-N` that appears whole (written beside, then renamed). The adapter of every checkpoint is
kept until the best is known; the optimiser's state, twice its size, of the newest alone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from metier.errors import StepError

ADAPTER, OPTIMISER, STATE = "adapter.safetensors", "optimiser.safetensors", "state.json"


def folder_of(work: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return work / f"step-{step:06d}"


def save(work: Path, step: int, weights: dict[str, Any], optimiser: Any, state: dict[str, Any]) -> Path:
    """Writes the checkpoint of `step`. `weights` are the trainable parameters by name; `state` is JSON-able."""
    from safetensors.torch import save_file

    final = folder_of(work, step)
    partial = final.with_name(final.name + ".partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    save_file({name: p.detach().cpu().contiguous() for name, p in weights.items()}, partial / ADAPTER)
    save_file(_moments(weights, optimiser), partial / OPTIMISER)
    (partial / STATE).write_text(json.dumps(state), encoding="utf-8")
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    for older in complete(work):
        if older != final:
            (older / OPTIMISER).unlink(missing_ok=True)
    return final


def _moments(weights: dict[str, Any], optimiser: Any) -> dict[str, Any]:
    """Adam's two moments and step count of each parameter, by name, and torch's random state."""
    import torch

    found = {"random": torch.get_rng_state()}
    for name, parameter in weights.items():
        for key, value in optimiser.state.get(parameter, {}).items():
            found[f"{key}:{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    return found


def complete(work: Path) -> list[Path]:
    """The checkpoints that are whole, oldest first."""
    return sorted(p for p in work.glob("step-*") if p.suffix != ".partial" and (p / STATE).exists())


def newest(work: Path) -> Path | None:
    """The checkpoint to go on from: the newest that still has its optimiser's state."""
    return next((p for p in reversed(complete(work)) if (p / OPTIMISER).exists()), None)


def load_weights(folder: Path, weights: dict[str, Any]) -> None:
    """Puts a checkpoint's weights into the parameters. Raises StepError when they are another model's."""
    import torch
    from safetensors.torch import load_file

    saved = load_file(folder / ADAPTER)
    differing = [n for n, p in weights.items() if n not in saved or saved[n].shape != p.shape]
    if differing or len(saved) != len(weights):
        raise StepError(
            f"{folder} is a checkpoint of another model or method: {(differing or sorted(saved))[0]} differs"
        )
    with torch.no_grad():
        for name, parameter in weights.items():
            parameter.copy_(saved[name].to(parameter.device))


def restore(folder: Path, weights: dict[str, Any], optimiser: Any) -> dict[str, Any]:
    """Puts everything back and gives the state."""
    import torch
    from safetensors.torch import load_file

    load_weights(folder, weights)
    saved = load_file(folder / OPTIMISER)
    torch.set_rng_state(saved.pop("random"))
    for name, parameter in weights.items():
        parts = {key.split(":", 1)[0]: value for key, value in saved.items() if key.split(":", 1)[1] == name}
        if parts:
            step = {"step": parts.pop("step")} if "step" in parts else {}  # a counter stays on the CPU
            if step and not step["step"].is_floating_point():  # bitsandbytes counts in plain numbers
                step = {"step": int(step["step"])}
            optimiser.state[parameter] = step | {key: value.to(parameter.device) for key, value in parts.items()}
    state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    return state
