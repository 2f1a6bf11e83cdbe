"""Puts a model that passed the gate into the registry, as a release: model, index and embedder that answer together.

What ships, and in which format, was decided by the gate; this stage obeys. A model that was refused is never
registered, and the release that was in production before stays there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field

from metier.config import StageConfig
from metier.errors import GateError, InputError
from metier.execution.step import Context, Input, Stage
from metier.lineage.fingerprint import digest
from metier.lineage.manifest import Counts
from metier.retrieval.embedding import EmbedderSource
from metier.serving.registry import register_release
from metier.serving.release import OUTPUT

MODEL, INDEX = "model", "index"  # the folders inside other stages' outputs


class Config(StageConfig):
    """The name of the release and how it answers."""

    model: str = Field("specialist", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Name of the registered model, under which clients ask for it."""
    passages: int = Field(3, ge=1, le=50)
    """Passages put into each prompt; as many as in the exam, or the exam says nothing about what is served."""
    max_model_len: int = Field(2048, ge=64, le=131_072)
    """Longest prompt and answer together, in tokens; no more than the model can read is used."""
    max_tokens: int = Field(256, ge=1, le=65_536)
    """Longest answer where a request does not say, in tokens."""


def released(decision: dict[str, Any]) -> str:
    """The format that ships (`none` is unquantised). Raises GateError when the gate refused the model."""
    if not decision["passed"]:
        raise GateError(f"the gate refused this model, so it is not registered: {decision['why']}")
    return str(decision["ships"]["format"])


def run(context: Context[Config]) -> Counts:
    """Writes release.json and gives its version the alias `production`."""
    decision = json.loads((Path(context.location("gate")) / "gate.json").read_text(encoding="utf-8"))
    form = released(decision)
    store = context.output.folder.parents[1]
    shipped = _shipped(context, form)
    folder = Path(context.location(shipped)) / MODEL
    longest = _longest(folder, context.config.max_model_len)
    release = {
        "name": context.config.model,
        "format": form,
        "candidate": decision["ships"]["candidate"],
        "why": decision["ships"]["why"],
        "model": _within(folder, store),
        "index": _within(Path(context.location("index")) / INDEX, store),
        "embedder": context.location("embedder"),
        "passages": context.config.passages,
        "max_model_len": longest,
        "max_tokens": min(context.config.max_tokens, longest // 2),
        "contents": {name: context.fingerprint(part) for name, part in
                     (("model", shipped), ("index", "index"), ("embedder", "embedder"), ("gate", "gate"))},
        "gate": {"why": decision["why"], "comparisons": decision["comparisons"]},
    }  # fmt: skip
    context.output.json(OUTPUT, release)
    put_into_production(store, _within(context.output.folder, store))
    return Counts()


def put_into_production(store: Path, place: str) -> None:
    """Gives the release at `place` in the store the alias `production`. Doing it again changes nothing.

    A run whose settings went back to earlier ones reuses their release, and that one must then be served again.
    """
    release = json.loads((store / place / OUTPUT).read_text(encoding="utf-8"))
    register_release(store, release["name"], place, digest(release), _tags(release))


def _shipped(context: Context[Config], form: str) -> str:
    """The name of the input that holds the model in this format."""
    if form == "none":
        return "merged"
    for part in context.parts("quantised"):
        described = json.loads((Path(context.location(part)) / "quantise.json").read_text(encoding="utf-8"))
        if described["format"] == form:
            return part
    raise InputError(f"{context.step}: the gate lets {form} ship, and no input `quantised` holds that format")


def _longest(folder: Path, wanted: int) -> int:
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return min(wanted, int(described.get("max_position_embeddings") or wanted))


def _within(path: Path, store: Path) -> str:
    """The path as seen from the store, so that a release holds no machine's folder."""
    try:
        return path.absolute().relative_to(store.absolute()).as_posix()
    except ValueError:
        raise InputError(
            f"register: {path} is not in the store {store}: give inputs of one store, and --output STORE/register/NAME"
        ) from None


def _tags(release: dict[str, Any]) -> dict[str, str]:
    """What a person sees in the registry."""
    tags = {key: str(release[key]) for key in ("format", "candidate", "why", "model", "index", "embedder")}
    tags |= {f"content.{name}": value for name, value in release["contents"].items()}
    for one in release["gate"]["comparisons"]:
        baseline = one["baseline"].replace("+", "-")  # a tag's name takes no plus
        tags[f"gain.{baseline}"] = f"{one['difference']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})"
    return tags | {"gate": release["gate"]["why"]}


STAGE = Stage(
    name="register",
    revision=1,
    summary="Registers the model that the gate lets ship, and puts it into production (MLflow in the store).",
    config=Config,
    inputs={
        "gate": Input("output of the gate stage"),
        "merged": Input("output of the merge stage"),
        "quantised": Input("output of the quantise stage, for each format", many=True, optional=True),
        "index": Input("output of the index stage"),
        "embedder": Input("embedding model of the index", opens=EmbedderSource),
    },
    outputs={OUTPUT: "name, format, the release's parts relative to the store, scores, digests"},
    run=run,
)
