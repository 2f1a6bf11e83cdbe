"""`metier run`, `plan`, `status`, `report`: an experiment file as a whole."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from metier.cli.display import forecast_table, plan_table, watching
from metier.config import TrainResources
from metier.errors import InputError, MachineError, MetierError
from metier.execution.plan import Decision, in_order, make_plan
from metier.execution.runner import run_plan
from metier.execution.session import local_ray
from metier.execution.step import Step
from metier.experiment import ROLES, Experiment, Models, load
from metier.lineage.artifact import Artifact
from metier.lineage.store import Store
from metier.pipeline import lifecycle
from metier.stages import train
from metier.training.forecast import Forecast, forecast

FileArgument = Annotated[Path, typer.Argument(help="The experiment file (YAML).", show_default=False)]
StoreOption = Annotated[
    Path, typer.Option("--store", envvar="METIER_STORE", help="Folder that holds all that is made.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]
STORE = Path("metier-store")


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(run)
    app.command()(plan)
    app.command()(status)
    app.command()(report)


def _planned(file: Path, store: Store, until: str = "", missing_ok: bool = False) -> tuple[Experiment, list[Decision]]:
    experiment = load(file)
    targets = lifecycle(experiment)
    if until:
        steps = {step.name: step for step in in_order(targets)}
        if until not in steps:
            raise InputError(f"--until {until}: there is no such step; the steps are {', '.join(steps)}")
        targets = [steps[until]]
    try:
        return experiment, make_plan(targets, store, missing_ok=missing_ok)
    except MetierError as error:
        if key := _key_of_model(str(error), experiment.models):
            raise type(error)(f"{file}: models.{key}: {error}") from None
        raise


def _key_of_model(said: str, models: Models) -> str:
    """Which key of `models` a fault is about; empty for another fault."""
    begins = {f"{kind} {getattr(models, key)}:": key for key in reversed(ROLES) for kind in ("model", "embedder")}
    return next((key for begin, key in begins.items() if said.startswith(begin)), "")


def _forecasts(decisions: list[Decision]) -> dict[str, Forecast]:
    """What training steps that are to run will need of GPUs, by their names. Raises InputError where one can't fit."""
    told = {d.step.name: _forecast(d.step) for d in decisions if d.step.stage is train.STAGE and not d.artifact}
    return {name: one for name, one in told.items() if one}


def _forecast(step: Step) -> Forecast | None:
    config, base, resources = step.config, step.inputs["base"], step.resources
    if isinstance(base, Step) or not isinstance(config, train.Config) or not isinstance(resources, TrainResources):
        return None
    return forecast(base.location, config.method, config, config.max_tokens, resources)


def _as_json(decisions: list[Decision], forecasts: dict[str, Forecast]) -> str:
    rows = [
        {"step": d.step.name, "action": d.action, "reason": d.reason, "key": d.key}
        | ({"forecast": forecasts[d.step.name].as_json()} if d.step.name in forecasts else {})
        for d in decisions
    ]
    return json.dumps(rows, indent=1)


def _show(console: Console, decisions: list[Decision], forecasts: dict[str, Forecast]) -> None:
    console.print(plan_table(decisions))
    for told in forecasts.values():
        console.print(forecast_table(told))


def _refuse_small_disk(store: Store, gigabytes: float) -> None:
    folder = store.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise MachineError(
            f"the disk of {store.root} has {free:.1f} GB free and the run wants {gigabytes:g}: free some, name another "
            "--store, or lower resources.min_free_disk_gb"
        )


def run(
    file: FileArgument,
    store: StoreOption = STORE,
    explain: Annotated[bool, typer.Option("--explain", help="Say first which steps run and why.")] = False,
    until: Annotated[str, typer.Option(help="Stop after this step (and all that it needs).")] = "",
    as_json: JsonOption = False,
) -> None:
    """Runs an experiment: every step that is not there yet, none that is.

    Stop it anywhere (Ctrl-C, a kill, a power cut) and run it again: finished steps are reused, training goes on from
    its last checkpoint. Exit code 3 means that the exam refused the model; `metier report` shows why.
    """
    opened = Store(store)
    began = time.monotonic()
    experiment, decisions = _planned(file, opened, until)
    console = Console(stderr=as_json)
    forecasts = _forecasts(decisions)
    if explain:
        _show(console, decisions, forecasts)
    if not all(d.artifact for d in decisions):
        _refuse_small_disk(opened, experiment.resources.min_free_disk_gb)
    with watching(as_json) as watcher:
        made = run_plan(decisions, opened, watcher, local_ray)
    if all(d.artifact for d in decisions) and "register" in made:
        from metier.stages.register import put_into_production

        put_into_production(opened.root, made["register"].folder.relative_to(opened.root).as_posix())
    reused = sum(1 for d in decisions if d.artifact)
    took = time.monotonic() - began
    summary = f"{len(decisions)} steps, {reused} reused, in {took / 60:.1f} min" if took > 90 else (
        f"{len(decisions)} steps, {reused} reused, in {took:.1f} s"
    )  # fmt: skip
    page = str(_report_file(made["report"])) if "report" in made else ""
    if as_json:
        print(json.dumps({"event": "done", "seconds": round(took, 2), "report": page}))
        return
    if "gate" in made:
        _show_exam(console, made)
    console.print(summary + (f"\nreport: {page}" if page else ""), highlight=False, soft_wrap=True, markup=False)


def _show_exam(console: Console, made: dict[str, Artifact]) -> None:
    from metier.reporting.tables import exam_table

    exams = [artifact for name, artifact in made.items() if name.startswith("exam-")]
    console.print(exam_table(exams, made["gate"].json("gate.json")))


def _report_file(artifact: Artifact) -> Path:
    return artifact.path("report.html")


def plan(file: FileArgument, store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Says which steps `metier run` would run, and why, and what training needs of a GPU. Runs nothing, writes nothing.

    Exit code 2 means that a run would be refused: a setting, a model that doesn't fit into the card. Documents and weights
    may still be missing.
    """
    _, decisions = _planned(file, Store(store), missing_ok=True)
    forecasts = _forecasts(decisions)
    if as_json:
        print(_as_json(decisions, forecasts))
    else:
        _show(Console(), decisions, forecasts)


def status(file: FileArgument, store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Shows what is finished: counts, time and folder of every step that is there."""
    _, decisions = _planned(file, Store(store))
    rows = []
    for decision in decisions:
        row: dict[str, object] = {"step": decision.step.name, "state": "missing"}
        if decision.artifact:
            counts = decision.artifact.manifest.counts
            receipts = decision.artifact.receipts()
            seconds = receipts[-1]["seconds"] if receipts else 0.0
            row |= {"state": "finished", "kept": counts.kept, "rejected": sum(counts.rejected.values()),
                    "seconds": seconds, "folder": str(decision.artifact.folder)}  # fmt: skip
        rows.append(row)
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        mark = "✓" if row["state"] == "finished" else "·"
        counts_text = (
            f"{row['kept']:>8,} kept {row['rejected']:>6,} rejected {row['seconds']:>8} s" if mark == "✓" else ""
        )
        print(f"{mark} {row['step']:<20} {counts_text or 'not there with these settings and inputs'}")


def report(file: FileArgument, store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Prints the path of the experiment's report, one self-contained HTML page."""
    _, decisions = _planned(file, Store(store))
    found = next((d.artifact for d in decisions if d.step.name == "report"), None)
    if found is None:
        earlier = Store(store).latest("report")
        also = f" (one of other settings or documents: {_report_file(earlier)})" if earlier else ""
        raise InputError(f"{file}: no report for it as it stands; `metier run {file}` makes it{also}")
    print(json.dumps({"report": str(_report_file(found))}) if as_json else _report_file(found))
