"""`metier data`: where each row went and why."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from metier.cli.run import STORE, JsonOption, StoreOption
from metier.errors import InputError
from metier.lineage.artifact import Artifact
from metier.lineage.journey import Difference, Journey, Loss, Row, chain, difference, find, journey
from metier.lineage.manifest import MANIFEST
from metier.lineage.store import Store
from metier.lineage.trace import plain
from metier.reporting.tables import funnel_table

OfOption = Annotated[
    str, typer.Option("--of", help="The step, or STEP/KEY, whose run is meant; without it, what was made last.")
]
IdArgument = Annotated[str, typer.Argument(help="A record's id, or how it begins.", show_default=False)]
SHOWN = 20

commands = typer.Typer(help="Where each row went and why: funnel, show, why, diff.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.add_typer(commands, name="data")


def _json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


@commands.command()
def funnel(store: StoreOption = STORE, of: OfOption = "", as_json: JsonOption = False) -> None:
    """Shows how many rows each step read, kept and rejected, and why."""
    counts = {a.manifest.step: a.manifest.counts for a in chain(Store(store).root, of)}
    if as_json:
        _json({step: one.model_dump() for step, one in counts.items()})
    else:
        Console().print(funnel_table({step: one for step, one in counts.items() if one.read or one.kept}))


@commands.command()
def show(id_: IdArgument, store: StoreOption = STORE, of: OfOption = "", as_json: JsonOption = False) -> None:
    """Shows a record: a document, a passage, a dialogue, a question, a grade, a rejection."""
    rows = find(chain(Store(store).root, of), id_)
    if as_json:
        _json([dataclasses.asdict(row) for row in rows])
        return
    tables = ", ".join(f"{row.step} ({row.table})" for row in rows)
    Console().print(Group(_panel(rows[0]), Text(f"in {tables}", style="dim")))


@commands.command()
def why(id_: IdArgument, store: StoreOption = STORE, of: OfOption = "", as_json: JsonOption = False) -> None:
    """Says what a record was made from, which steps kept it, what was made of it, and what was rejected for which reason."""
    found = journey(chain(Store(store).root, of), id_)
    if as_json:
        _json(dataclasses.asdict(found))
    else:
        Console().print(_way(found))


@commands.command()
def diff(
    one: Annotated[str, typer.Argument(metavar="A", help="STEP/KEY in the store, or a stage's output folder.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another output to compare it with.")],
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Compares the kept rows of two outputs: how many only one has, and why the other lost them."""
    found = difference(_output(store, one), _output(store, other))
    if as_json:
        _json(dataclasses.asdict(found))
    else:
        Console().print(_differences(found, one, other))


def _output(store: Path, name: str) -> Artifact:
    for folder in (Path(name), Store(store).root / name):
        if (folder / MANIFEST).exists():
            return Artifact(folder.absolute())
    raise InputError(f"{name}: neither an output folder nor STEP/KEY in {store}: it holds no {MANIFEST}")


def _panel(row: Row) -> Panel:
    lines = Text()
    for name, value in row.record.items():
        if value not in ("", [], None):
            written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines.append(f"{name}  ", style="bold").append_text(plain(f"{written}\n"))
    lines.rstrip()
    return Panel(lines, title=f"{row.step}: {row.table}", title_align="left")


def _title(row: Row) -> Text:
    record = row.record
    name = record.get("uri") or record.get("prompt") or next((m["content"] for m in record.get("messages") or ()), "")
    return plain(f"{record['id'][:12]}  {' '.join(str(name).split())[:60]}  ({row.step})")


def _way(found: Journey) -> Group:
    way = Table(title="What became of it", title_justify="left")
    for name in ("step", "kept", "made of it", "rejected", "why"):
        way.add_column(name, justify="right" if name in ("kept", "made of it", "rejected") else "left")
    for stop in found.stops:
        told = Text("\n").join(_loss(loss) for loss in stop.losses)
        lost = sum(stop.lost.values())
        if lost > len(stop.losses):
            told.append(f"\n... {', '.join(f'{reason} {n:,}' for reason, n in stop.lost.items())}")
        way.add_row(stop.step, *(f"{n:,}" if n else "" for n in (stop.kept, stop.made, lost)), told)
    parts: list[Any] = [_panel(found.row)]
    if found.origins:
        parts.append(
            Text("made from  ", style="bold").append_text(Text("\n           ").join(map(_title, found.origins)))
        )
    return Group(*parts, way)


def _loss(loss: Loss) -> Text:
    return Text(f"{loss.id[:12]} {loss.reason}: ", style="yellow").append_text(plain(loss.evidence))


def _differences(found: Difference, one: str, other: str) -> Group:
    parts: list[Any] = [Text(f"{found.shared:,} rows in both")]
    parts += [Text(change) for change in found.config]
    for name, count, losses in zip((one, other), found.only, found.losses, strict=True):
        parts.append(Text(f"{count:,} rows only in {name}", style="bold"))
        parts += [Text("  ").append_text(_loss(loss)) for loss in losses[:SHOWN]]
        if len(losses) > SHOWN:
            parts.append(Text(f"  ... and {len(losses) - SHOWN:,} more that the other rejected (--json has all)"))
    return Group(*parts)
