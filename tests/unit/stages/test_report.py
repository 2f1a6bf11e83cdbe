"""The report stage through the real runner, on a made-up store."""

from __future__ import annotations

import json

import pytest
from bs4 import BeautifulSoup

from metier.errors import InputError
from metier.lineage.manifest import Counts
from metier.lineage.store import Store
from metier.reporting.gather import Served
from metier.stages.report import OUTPUT
from tests.fixtures.report_inputs import make_report_inputs, run_report, story

REQUIRED = ("documents", "blended", "questions", "train", "exams/0", "exams/1", "gate")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    return root, make_report_inputs(root)


@pytest.fixture(scope="module")
def report(made):
    return run_report(*made, key="whole")


def page(artifact):
    return BeautifulSoup(artifact.path(OUTPUT).read_text(encoding="utf-8"), "html.parser")


def words(node):
    return " ".join(node.get_text(" ").split())


def put(root, step, source, **files):
    """A copy of an artifact's place in the pipeline with other files and inputs."""
    with Store(root).writing(step, "other") as writer:
        for name, value in files.items():
            writer.json(f"{name}.json", value)
        return writer.commit(stage=source.manifest.stage, step=step, revision=1, config={}, counts=Counts(),
                             inputs={"base": "f00d" * 8})  # fmt: skip


def test_one_file_tells_the_whole_experiment(report):
    assert [f.path for f in report.manifest.files] == [OUTPUT]
    soup = page(report)
    assert words(soup.h1) == "✓ ray-assistant: ready to ship"
    assert [s["id"] for s in soup.find_all("section")] == [
        "decide", "exam", "gate", "retrieval", "examples", "served", "data", "training", "cost", "lineage",
    ]  # fmt: skip


def test_all_steps_are_told_in_the_order_in_which_they_ran(made, report):
    _, inputs = made
    rows = page(report).find(attrs={"aria-label": "Artifacts"}).tbody.find_all("tr")
    told = [words(row.th) for row in rows]
    assert told[:4] == ["ingest", "split", "chunk", "questions"]
    assert sorted(told) == sorted(a.manifest.step for a in inputs.values())


def test_a_report_is_known_by_what_it_was_made_from(made, report):
    assert run_report(*made, key="again").fingerprint == report.fingerprint
    assert run_report(*made, key="seed", seed=1).fingerprint != report.fingerprint
    root, inputs = made
    less = {name: a for name, a in inputs.items() if name != "smoke"}
    assert run_report(root, less, key="less").fingerprint != report.fingerprint


def test_only_what_it_cannot_do_without_is_needed(made):
    root, inputs = made
    soup = page(run_report(root, {name: inputs[name] for name in REQUIRED}, key="required"))
    assert words(soup.h1) == "✓ ray-assistant: ready to ship"
    assert "served" not in {s["id"] for s in soup.find_all("section")}


def test_it_reads_what_the_stages_before_it_wrote(made):
    root, inputs = made
    told = story(root, inputs).material
    assert told.base == "smollm2-135m-instruct"
    assert (told.makeup.rows, told.makeup.validation) == (1500, 48)
    assert (told.keep_ratio, told.min_slice) == (0.95, 10)
    assert told.review["unreviewed"] == 2166
    assert told.served == [Served(inputs["smoke"].json("smoke.json")["answers"][0]["question"], "256 rows.", 1)]
    assert [f.name for f in told.formats] == ["w4a16", "w8a8"]
    assert {(r.stage, r.reason): r.total for r in told.rejected}["filter", "ungrounded"] == 96


def test_an_artifact_without_a_receipt_is_told_without_a_time(made):
    root, inputs = made
    bare = put(root, "bare", inputs["merge"], merge={})
    steps = {s.step: s for s in story(root, inputs | {"merge": bare}).material.steps}
    assert (steps["bare"].seconds, steps["bare"].machine) == (None, "")
    assert (steps["train"].seconds, steps["train"].machine) == (512.0, "2 CPUs, x86_64")


def test_the_newest_attempt_counts(made):
    root, inputs = made
    attempts = put(root, "attempts", inputs["merge"], merge={})
    for number, seconds in ((1, 5.0), (2, 7.0)):
        receipt = {"started": f"2026-01-06T10:0{number}:00Z", "seconds": seconds}
        (attempts.folder / f"receipt-{number}.json").write_text(json.dumps(receipt))
    steps = {s.step: s for s in story(root, inputs | {"merge": attempts}).material.steps}
    assert steps["attempts"].seconds == 7.0


def test_a_base_without_a_name_is_told_by_its_digest(made):
    root, inputs = made
    files = {name: inputs["train"].json(f"{name}.json") for name in ("history", "verdict")}
    train = put(root, "train", inputs["train"], **files)
    assert story(root, inputs | {"train": train}).material.base == "a local model (f00df00d)"


def test_an_input_of_another_stage_is_refused_by_name(made):
    root, inputs = made
    with pytest.raises(InputError, match=r"input gate has no gate\.json; it takes the output of gate"):
        run_report(root, inputs | {"gate": inputs["merge"]}, key="wrong")
    with pytest.raises(InputError, match=r"input reviewed has no review\.json"):
        run_report(root, inputs | {"reviewed": inputs["filtered"]}, key="wrong")


def test_an_exam_that_is_missing_is_asked_for(made):
    root, inputs = made
    less = {name: a for name, a in inputs.items() if name != "exams/1"}
    with pytest.raises(InputError, match=r"no grades of tuned\+retrieval.*give all exams of this gate"):
        run_report(root, less, key="less-exams")
    assert Store(root).find("report", "less-exams") is None
