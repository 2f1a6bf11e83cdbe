"""Each ready file is planned by the real command, as on a fresh clone: no documents, no weights, no network, no GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.command_line import metier

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))
READY = (
    "llama3-8b-qlora-24gb",
    "llama3-8b-lora",
    "llama3-70b-qlora",
    "llama3-8b-full-deepspeed",
    "llama3-70b-full-fsdp",
)


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_ready_file_is_planned_and_its_training_fits_the_card(file, tmp_path):
    outcome = metier("plan", file, "--store", tmp_path / "store", "--json")
    assert outcome.code == 0, outcome.err
    train = next(row for row in json.loads(outcome.out) if row["step"] == "train")
    if file.stem not in READY:
        assert "forecast" not in train  # for a laptop, which has no card to fit
        return
    told = train["forecast"]
    for fit in filter(None, (told["fit"], told["least"])):
        assert 0.2 * told["card_bytes"] < fit["predicted_bytes"] < told["card_bytes"]
    shown = " ".join(metier("plan", file, "--store", tmp_path / "store").out.split())
    assert f"peak memory {told['fit']['predicted_bytes'] / 2**30:.1f} of" in shown
    assert "to be fetched first" in shown


def test_the_table_of_ready_files_says_what_plan_says(tmp_path):
    rows = {
        line.split("`")[1]: line for line in (EXAMPLES / "README.md").read_text().splitlines() if line.startswith("| `")
    }
    assert set(rows) == {f"{name}.yaml" for name in READY}
    for name, row in rows.items():
        planned = json.loads(metier("plan", EXAMPLES / name, "--store", tmp_path / "store", "--json").out)
        told = next(r for r in planned if r["step"] == "train")["forecast"]
        assert f"| {told['fit']['predicted_bytes'] / 2**30:.1f} |" in row
        assert told["engine"] in row
