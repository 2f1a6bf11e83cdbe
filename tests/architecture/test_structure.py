"""The house rules that a reader would otherwise have to check by eye."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from metier.config import StageConfig
from metier.stages.catalogue import STAGES

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "platform" / "metier").rglob("*.py"))
HEAVY = ("torch", "ray", "vllm", "transformers", "lancedb", "mlflow", "presidio_analyzer", "matplotlib", "optuna")


def python(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_imports_run_one_way():
    run = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    "doing",
    [
        "import metier",
        "from metier.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass",
        "from metier.cli import main\ntry:\n    main(['plan', 'examples/ray-assistant.yaml'])\nexcept SystemExit: pass",
    ],
)
def test_light_commands_load_nothing_heavy(doing):
    out = python(f"{doing}\nimport sys\nprint('LOADED', [m for m in {HEAVY!r} if m in sys.modules])")
    assert out.strip().splitlines()[-1] == "LOADED []"


def test_platform_is_still_pythons_own():
    assert python("import platform, metier\nprint(platform.python_version())").startswith("3.")
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_every_stage_has_its_file_and_its_job_script():
    jobs = {p.stem.removeprefix("run_") for p in (ROOT / "jobs").glob("run_*.py")}
    assert jobs == set(STAGES)


def test_no_job_script_shadows_a_library():
    assert not {"tokenize.py", "evaluate.py", "datasets.py"} & {p.name for p in (ROOT / "jobs").iterdir()}


def described(model: type[StageConfig], where: str) -> list[str]:
    return [f"{where}.{k}" for k, field in model.model_fields.items() if not field.description]


@pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
def test_every_setting_of_a_stage_is_explained(stage):
    assert described(stage.config, stage.name) == []
    assert all(i.about for i in stage.inputs.values())


def test_only_entry_points_start_ray():
    allowed = {"execution/session.py"}
    starters = {
        p.relative_to(ROOT / "platform" / "metier").as_posix()
        for p in SOURCES
        if re.search(r"ray\.(init|shutdown)\(", p.read_text())
    }
    assert starters <= allowed


@pytest.mark.parametrize(
    "pattern", [r"trust_remote_code\s*=\s*True", r"pickle\.load", r"shell\s*=\s*True", r"weights_only\s*=\s*False"]
)
def test_nothing_unsafe_is_loaded_or_run(pattern):
    assert [p for p in SOURCES if re.search(pattern, p.read_text())] == []


def test_the_pipeline_fits_on_a_screen_or_two():
    assert len((ROOT / "platform" / "metier" / "pipeline.py").read_text().splitlines()) < 180
