"""What a run looks like: lines for people and logs, a bar on a terminal, JSON for scripts."""

from __future__ import annotations

import io
import json
import re
import sys
import time

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from metier.cli.display import JsonWatcher, LiveWatcher, PlainWatcher, forecast_table, plan_table, watching
from metier.execution.plan import Decision, make_plan
from metier.execution.runner import run_plan
from metier.lineage.artifact import Writer
from metier.lineage.manifest import Counts
from metier.lineage.store import Store
from metier.training.fit import Fit
from metier.training.forecast import Forecast
from tests.fixtures.toy_stages import toy_pipeline


def console(**settings) -> Console:
    return Console(file=io.StringIO(), width=100, **settings)


def run(folder, watcher, **settings) -> None:
    store = Store(folder / "store")
    run_plan(make_plan([toy_pipeline(**settings)], store), store, watcher)


def test_the_plan_names_each_step_its_decision_and_the_reason(tmp_path):
    shown = console()
    shown.print(plan_table(make_plan([toy_pipeline()], Store(tmp_path))))
    lines = shown.file.getvalue().splitlines()
    assert any("write" in line and "RUN" in line and "never ran" in line for line in lines)
    assert any("keep" in line and "after write" in line for line in lines)


def test_brackets_in_a_reason_are_shown_as_they_are():
    shown = console()
    shown.print(plan_table([Decision(toy_pipeline(), "run", "exam.glob [a-z] -> [red]")]))
    assert "exam.glob [a-z] -> [red]" in shown.file.getvalue()


def told(**changes) -> str:
    one = Forecast(base="owner/name", method="full", engine="fsdp2", offload=True, workers=4, min_workers=2, **changes)
    shown = console()
    shown.print(forecast_table(one))
    return " ".join(shown.file.getvalue().split())


def test_a_forecast_says_what_is_chosen_and_what_it_takes():
    four = Fit(4096, 3, 32, True, "adamw", 20 * 2**30, 9, host_bytes=30 * 10**9, engine="fsdp2", workers=4)
    two = Fit(4096, 3, 32, True, "adamw", 21 * 2**30, 9, host_bytes=60 * 10**9, engine="fsdp2", workers=2)
    text = told(
        weights=8 * 10**9, trained=8 * 10**9, fetched_bytes=16 * 10**9, card_bytes=24 * 10**9, fit=four, least=two
    )
    for part in (
        "owner/name, 8.0 billion weights, to be fetched first (16 GB)",
        "fsdp2 on 4 workers, a GPU of 24 GB each, offloading to the hosts",
        "selective: 3 of 32 layers computed twice",
        "peak memory 20.0 of 22.4 GiB, predicted",
        "on 2 workers 21.0 of 22.4 GiB",
        "host memory up to 60 GB a worker",
    ):
        assert part in text


def test_a_forecast_that_can_t_be_made_says_why():
    assert "memory not predicted: nobody knows" in told(unknown="nobody knows")


def test_plain_lines_say_what_begins_and_what_came_out(tmp_path):
    shown = console()
    run(tmp_path, PlainWatcher(shown), rows=3, longest=2)
    run(tmp_path, PlainWatcher(shown), rows=3, longest=2)
    lines = [" ".join(line.split()) for line in shown.file.getvalue().splitlines()]
    assert [re.sub(r"\d+\.\d s", "T s", line) for line in lines] == [
        "write ...",
        "✓ write T s 3 kept",
        "keep ...",
        "✓ keep T s 2 kept, 1 rejected",
        "✓ write reused 3 kept",
        "✓ keep reused 2 kept, 1 rejected",
    ]


def test_a_log_gets_progress_now_and_then_and_no_flood(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    shown = console()
    watcher, step = PlainWatcher(shown), toy_pipeline()
    watcher.started(step)
    for now in (1001.0, 1009.0, 1011.0, 1012.0):
        watcher.progress(step, int(now), 2000, "rows")
    now = 1030.0
    watcher.progress(step, 7, 0, "tokens")
    assert shown.file.getvalue().splitlines()[1:] == ["    keep: 1,011 of 2,000 rows", "    keep: 7 tokens"]


def test_a_terminal_gets_a_bar_that_goes_when_the_step_ends(tmp_path):
    shown = console(force_terminal=True, color_system=None)
    with Progress(TextColumn("{task.description}: {task.fields[what]}"), console=shown) as bars:
        watcher, step = LiveWatcher(shown, bars), toy_pipeline()
        watcher.started(step)
        watcher.progress(step, 5, 9, "rows")
        bars.refresh()
        assert "keep: 5 of 9 rows" in shown.file.getvalue()
        run(tmp_path, LiveWatcher(shown, bars))
        assert [task.description for task in bars.tasks] == ["keep"]  # of the one that did not end
    assert "✓ keep" in shown.file.getvalue()


def test_scripts_get_one_object_a_line(tmp_path, capsys):
    run(tmp_path, JsonWatcher(sys.stdout), rows=3, longest=2)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(e["event"], e["step"]) for e in events] == [
        ("started", "write"), ("finished", "write"), ("started", "keep"), ("finished", "keep")
    ]  # fmt: skip
    assert events[-1]["counts"] == {"read": 3, "kept": 2, "rejected": {"too_long": 1}}
    assert events[-1]["reused"] is False
    assert events[-1]["folder"].startswith(str(tmp_path / "store" / "keep"))


@pytest.mark.parametrize("file", ["merge.json", "verdict.json"])
def test_what_a_step_has_to_say_stands_below_its_line(tmp_path, capsys, file):
    writer = Writer(tmp_path)
    writer.json(file, {"text": "Merging costs [red]nothing."})
    writer.json("other.json", {"text": "not said"})
    artifact = writer.commit(stage="merge", step="merge", revision=1, config={}, inputs={}, counts=Counts())
    shown = console()
    PlainWatcher(shown).finished(toy_pipeline(), artifact, 1.0, False)
    assert shown.file.getvalue().splitlines()[1:] == ["    Merging costs [red]nothing."]
    JsonWatcher(sys.stdout).finished(toy_pipeline(), artifact, 1.0, False)
    assert json.loads(capsys.readouterr().out)["said"] == "Merging costs [red]nothing."


@pytest.mark.parametrize(("as_json", "kind"), [(True, JsonWatcher), (False, PlainWatcher)])
def test_a_pipe_gets_no_bar(as_json, kind):
    with watching(as_json) as watcher:
        assert type(watcher) is kind
