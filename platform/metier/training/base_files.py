"""What the files of a base say: its settings, and which weights lie in them. Needs no torch, and reads no weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metier.errors import InputError

CONFIG, INDEX, SINGLE = "config.json", "model.safetensors.index.json", "model.safetensors"
DEEPEST = 2000  # layers; the deepest model there is has a tenth
IDS = 2**31  # what no tokenizer has that many of


def read_json(file: Path) -> dict[str, Any]:
    """The object in a file. Raises InputError where there is none."""
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: not a readable JSON file ({error}); copy or fetch it anew") from None
    if not isinstance(tree, dict):
        raise InputError(f"{file}: not a JSON object; copy or fetch it anew")
    return tree


def context_of(folder: str) -> int:
    """How many tokens a model can read; 0 where its config.json does not say."""
    for part in _parts(folder):
        for name in ("max_position_embeddings", "n_positions"):
            if part.get(name):
                return _count(folder, name, part[name])
    return 0


def refuse_unfit_depth(folder: str) -> None:
    """Raises InputError where config.json names no layers, or more than can be built."""
    for part in _parts(folder):
        for name in ("num_hidden_layers", "n_layer", "n_layers", "num_layers"):
            if part.get(name) is not None and _count(folder, name, part[name]) > DEEPEST:
                raise InputError(f"{Path(folder) / CONFIG}: {name} {part[name]} is more than {DEEPEST}; correct it")


def end_ids(folder: str, rows: int = IDS) -> list[int]:
    """The tokens at which a model's generation settings, else its config.json, let it stop; none where both are silent. `rows`:
    how many ids there are."""
    for name in ("generation_config.json", CONFIG):
        file = Path(folder) / name
        named = read_json(file).get("eos_token_id") if file.exists() else None
        if named is not None:  # generation settings may leave it to the model's own
            ids = [one for one in (named if isinstance(named, list) else [named]) if one is not None]
            odd = [one for one in ids if type(one) is not int or not 0 <= one < rows]
            if odd:
                raise InputError(
                    f"{file}: eos_token_id holds {json.dumps(odd[0])[:40]}, which is no token's id; correct it"
                )
            return ids
    return []


def shapes_of(folder: str) -> dict[str, list[int]]:
    """The weights that loading a base would find, by name. Raises InputError where files are missing or damaged."""
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, list[int]] = {}
    for file in _weight_files(Path(folder)):
        try:
            with safe_open(
                file, framework="numpy"
            ) as weights:  # reads the header, and holds it against the file's size
                shapes |= {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            raise InputError(f"base {folder}: {file.name} is cut short or damaged; copy or fetch it anew") from None
    return shapes


def _weight_files(folder: Path) -> list[Path]:
    """The files that are loaded: the single one, or those of the index."""
    if (folder / SINGLE).exists():
        return [folder / SINGLE]
    if not (folder / INDEX).exists():
        there = ", ".join(sorted(file.name for file in folder.glob("*.safetensors"))[:3]) or "no .safetensors file"
        if (folder / "adapter_config.json").exists() or "adapter_model" in there:
            raise InputError(f"base {folder}: it is an adapter; give the model that it was merged into")
        raise InputError(f"base {folder}: it has neither {SINGLE} nor {INDEX}, but {there}; fetch what is missing")
    index = read_json(folder / INDEX)
    names = index.get("weight_map")
    if not isinstance(names, dict) or not names or not isinstance(index.get("metadata"), dict):
        raise InputError(f"{folder / INDEX}: it has no weight_map or no metadata; copy or fetch it anew")
    for name in names.values():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise InputError(f"{folder / INDEX}: {name!r} is no .safetensors file beside it; copy or fetch it anew")
    files = [folder / name for name in sorted(set(names.values()))]
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise InputError(
            f"base {folder}: {len(missing)} of its weight files are missing, first {missing[0]}; copy or fetch them anew"
        )
    return files


def _parts(folder: str) -> Iterator[dict[str, Any]]:
    """The settings of config.json, and those of the decoder where it lies in a part of its own."""
    whole = read_json(Path(folder) / CONFIG)
    decoder = whole.get("text_config") or {}
    if not isinstance(decoder, dict):
        raise InputError(f"{Path(folder) / CONFIG}: text_config is no object; copy or fetch it anew")
    yield from (whole, decoder)


def _count(folder: str, name: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise InputError(f"{Path(folder) / CONFIG}: {name} must be a whole number from 1, not {json.dumps(value)[:40]}")
    return value
