"""`metier stage`: one stage alone, on plain files. Job scripts and other tools use this door."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from metier.cli.display import watching, words_of
from metier.config import StageConfig, expanded
from metier.errors import InputError
from metier.execution.intake import taken_in
from metier.execution.runner import execute
from metier.execution.session import local_ray
from metier.execution.step import Input, Source, Stage, Step
from metier.experiment import explained
from metier.lineage.artifact import RECEIPT, Artifact, Writer
from metier.lineage.manifest import MANIFEST, Counts
from metier.lineage.source import PathSource
from metier.stages.catalogue import STAGES
from metier.strict_yaml import yaml_value


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(stage)


def stage(
    name: Annotated[str, typer.Argument(help="The stage; `metier stage --list` shows all.")] = "",
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="NAME=PATH, repeated; NAME= may be left out for the first input. JSONL, Parquet, "
            "the output folder of another stage, or what the input says it takes.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for kept.parquet, rejected.parquet, manifest.json.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, repeated; KEY may be dotted.")] = None,
    resources: Annotated[
        list[str] | None, typer.Option("--on", help="Resources, KEY=VALUE: cpus, gpus, workers.")
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Show the stages, or with NAME all that this one takes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")] = False,
) -> None:
    """Runs one stage alone on plain files.

    For example: metier stage deduplicate --input pairs.jsonl --output out/ --set threshold=0.8
    """  # fmt: skip
    if listed or not name:
        _list(name, as_json)
        return
    chosen = _stage(name)
    if output is None:
        raise InputError(f"stage {name}: --output FOLDER is needed")
    config = _config(chosen.config, settings or [], f"stage {name}")
    placed = _config(chosen.resources, resources or [], "--on")
    _bring_back(output.absolute())
    _refuse_foreign(output, name)
    with scratch_beside(output) as scratch, contextlib.ExitStack() as session:
        given = _open_inputs(chosen, inputs or [], scratch, lambda: session.enter_context(local_ray()))
        step = Step(name=name, stage=chosen, config=config, resources=placed, inputs={})
        fingerprints = {key: value.fingerprint for key, value in given.items()}
        for key, value in given.items():
            if output.resolve() in (Path(value.location).resolve(), *Path(value.location).resolve().parents):
                raise InputError(
                    f"--input {key} lies in --output {output}, which the stage replaces: name another folder"
                )
        with watching(as_json) as watcher, _kept_aside(output.absolute()), local_ray():
            artifact = execute(step, given, fingerprints, Writer(output.absolute()), watcher)
    summary = {"stage": name, "output": str(output), **artifact.manifest.counts.model_dump()}
    said = words_of(artifact)
    if as_json:
        print(json.dumps({"event": "done", **summary, **({"said": said} if said else {})}))
    else:
        print(f"{name}: {_counted(artifact.manifest.counts)} -> {output}" + (f"\n  {said}" if said else ""))


@contextlib.contextmanager
def scratch_beside(output: Path) -> Iterator[Path]:
    """A folder for the time being, where workers on other machines see it as they see the output."""
    parent = next(folder for folder in output.absolute().parents if folder.is_dir())
    place = parent if os.access(parent, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.given-", dir=place) as folder:
        yield Path(folder)


def _counted(counts: Counts) -> str:
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in counts.rejected.items())
    return f"{counts.read:,} read, {counts.kept:,} kept" + (f", rejected: {reasons}" if reasons else "")


def _stage(name: str) -> Stage[Any]:
    if name not in STAGES:
        import difflib

        near = difflib.get_close_matches(name, STAGES, n=1)
        raise InputError(f"stage {name}: there is none; " + (f"did you mean {near[0]}?" if near else "see --list"))
    return STAGES[name]


def _config(model: type[Any], pairs: list[str], where: str) -> Any:
    tree: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"{where}: {pair!r} is not KEY=VALUE")
        node = tree
        *path, last = key.split(".")
        for part in path:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise InputError(f"{where}: {key}: {part} was given a value of its own before")
        try:
            node[last] = yaml_value(value)
        except yaml.YAMLError:
            node[last] = value
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{where}: {explained(error, model)}") from None


def _refuse_foreign(output: Path, stage: str) -> None:
    """A stage clears its output folder first, so only an empty one or its own earlier output may be named."""
    if output.exists() and not output.is_dir():
        raise InputError(f"--output {output}: that is a file; name a folder")
    if not output.exists() or not any(output.iterdir()):
        return
    if not (output / MANIFEST).exists() or Artifact(output).manifest.stage != stage:
        raise InputError(f"--output {output}: the folder holds something else; name a new or empty one")
    listed = {f.path for f in Artifact(output).manifest.files} | {MANIFEST}
    for path in (p for p in output.rglob("*") if p.is_file()):
        name = path.relative_to(output).as_posix()
        if name not in listed and not name.startswith(RECEIPT):
            raise InputError(
                f"--output {output}: {name} in it is no output of this stage: move it away, or name another folder"
            )


def _aside(output: Path) -> Path:
    """Where the earlier output waits while a stage replaces it."""
    return output.with_name(f".{output.name}.earlier")


def _bring_back(output: Path) -> None:
    """Undoes an attempt that failed or was killed: the earlier output stands again where it stood."""
    aside = _aside(output)
    if aside.exists() and not (output / MANIFEST).exists():
        shutil.rmtree(output, ignore_errors=True)
        aside.rename(output)


@contextlib.contextmanager
def _kept_aside(output: Path) -> Iterator[None]:
    """The earlier output, moved aside while the stage runs and brought back if that fails."""
    if (output / MANIFEST).exists():
        shutil.rmtree(_aside(output), ignore_errors=True)
        output.rename(_aside(output))
    try:
        yield
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)  # half an output, which would be in the next attempt's way
        _bring_back(output)
        raise
    shutil.rmtree(_aside(output), ignore_errors=True)


def _open_inputs(
    chosen: Stage[Any], pairs: list[str], scratch: Path, start: Callable[[], None]
) -> dict[str, Artifact | Source]:
    given: dict[str, list[Artifact | Source]] = {}
    first = next(iter(chosen.inputs))
    for pair in pairs:
        key, equals, path = pair.partition("=")
        if not equals or key not in chosen.inputs:
            if equals and "://" not in key and not Path(pair).exists():
                raise InputError(f"stage {chosen.name}: no input {key!r}; it takes {', '.join(chosen.inputs)}")
            key, path = first, pair
        place = scratch / f"{key}-{len(given.get(key, []))}"
        given.setdefault(key, []).append(open_input(chosen.inputs[key], path, place, start))
    for key, wanted in chosen.inputs.items():
        if key not in given and not wanted.optional:
            raise InputError(f"stage {chosen.name}: --input {key}=PATH is needed ({wanted.about})")
        if len(given.get(key, [])) > 1 and not wanted.many:
            raise InputError(f"stage {chosen.name}: --input {key} is given twice")
    flat: dict[str, Artifact | Source] = {}
    for key, values in given.items():
        many = chosen.inputs[key].many
        flat |= {f"{key}/{i}" if many else key: value for i, value in enumerate(values)}
    return flat


def open_input(wanted: Input, path: str, scratch: Path, start: Callable[[], None]) -> Artifact | Source:
    """What a path on the command line stands for: another stage's output, a plain table, or an outside source.

    `start`: starts Ray, which a large table needs.
    """
    folder = expanded(path)
    if (folder / MANIFEST).exists():
        return _fitting(Artifact(folder.absolute()), wanted, path)
    if wanted.record is None:
        return wanted.opens(path) if wanted.opens else PathSource(path)
    return taken_in(wanted.record, folder, scratch, wanted.table, start)


def _fitting(artifact: Artifact, wanted: Input, path: str) -> Artifact:
    """The artifact, if its table has the columns that the input takes."""
    if wanted.record is not None:
        import pyarrow.parquet as pq

        from metier.lineage.shards import schema_of

        there = set(pq.read_schema(artifact.table_files(wanted.table)[0]).names)
        if there != set(schema_of(wanted.record).names):
            raise InputError(f"{path}: its table {wanted.table} holds no {wanted.record.__name__} rows: {wanted.about}")
    return artifact


def _list(name: str, as_json: bool) -> None:
    chosen = [_stage(name)] if name else list(STAGES.values())
    if as_json:
        print(json.dumps([_described(one) for one in chosen], indent=1))
        return
    console = Console()
    for one in chosen:
        _print_stage(console, one)
    if not name:
        console.print("Columns of the tables: `metier stage NAME --list --json`.", style="dim")


def _described(one: Stage[Any]) -> dict[str, Any]:
    from metier.lineage.shards import schema_of

    def columns(kind: Any) -> Any:
        return {f.name: str(f.type) for f in schema_of(kind)} if isinstance(kind, type) else kind

    return {
        "stage": one.name,
        "summary": one.summary,
        "inputs": {
            key: {"about": i.about, "optional": i.optional, "columns": columns(i.record)}
            for key, i in one.inputs.items()
        },
        "outputs": {k: columns(v) for k, v in one.outputs.items()},
        "settings": one.config.model_json_schema(),
    }  # fmt: skip


def _print_stage(console: Console, one: Stage[Any]) -> None:
    console.print(f"\n[bold]{one.name}[/]  {one.summary}", highlight=False)
    for key, wanted in one.inputs.items():
        kind = wanted.record.__name__ + " table" if wanted.record else "folder or name"
        optional = (", optional" if wanted.optional else "") + (", may be repeated" if wanted.many else "")
        console.print(f"  --input {key}=…  {kind}{optional}: {wanted.about}", highlight=False)
    table = Table(show_header=True, header_style="dim", box=None, padding=(0, 2))
    table.add_column("  --set", no_wrap=True)  # a key that is cut can't be typed
    for column in ("type", "default", "meaning"):
        table.add_column(column)
    for key, *cells in _settings(one.config, ""):
        table.add_row(f"  {key}", *(escape(cell) for cell in cells))
    if table.row_count:
        console.print(table)


def _settings(model: type[StageConfig], prefix: str) -> list[tuple[str, str, str, str]]:
    rows = []
    for key, field in model.model_fields.items():
        kind = field.annotation
        members = _members(kind)
        about = " ".join((field.description or "").split())
        if get_origin(kind) is dict and members:
            rows.append((prefix + key, "mapping", "{}", about))
            rows += _of_any(members, f"{prefix}{key}.NAME.", about)
            continue
        if members:
            rows += _of_any(members, f"{prefix}{key}.", about)
            continue
        default = "needed" if field.is_required() else str(field.get_default(call_default_factory=True))
        name = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "").replace("metier.", "")
        rows.append((prefix + key, name, default, about))
    return rows


def _members(kind: Any) -> list[type[StageConfig]]:
    """The config that a field holds, or all that it may hold."""
    if isinstance(kind, type):
        return [kind] if issubclass(kind, StageConfig) else []
    return [member for part in get_args(kind) for member in _members(part)]


def _of_any(members: list[type[StageConfig]], prefix: str, choice: str) -> list[tuple[str, str, str, str]]:
    """The settings of all members of a union, each once; where types differ, as tags do, all of them, and what is chosen."""
    rows: dict[str, tuple[str, str, str, str]] = {}
    for member in members:
        for name, kind, default, about in _settings(member, prefix):
            known = rows.get(name)
            if known is None:
                rows[name] = (name, kind, default, about)
            elif kind not in known[1].split(" | "):
                rows[name] = (name, f"{known[1]} | {kind}", known[2], choice)
    return list(rows.values())
