"""The gate stage: it decides and writes; refusing to register is not its business."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from metier.config import Resources
from metier.errors import InputError
from metier.execution.runner import execute
from metier.execution.step import Step
from metier.lineage.artifact import Writer
from metier.records import Grade
from metier.stages import gate
from tests.fixtures.stage_alone import Silent, as_table


@dataclass
class Folder:
    location: str
    fingerprint: str = "x"


def grades(candidate, scores, slice_="numeric"):
    return [
        Grade(question_id=f"{slice_}{i}", candidate=candidate, slice=slice_, split="final", prompt="", reference="",
              answer="", correctness=s, completeness=s, format=s, score=s)
        for i, s in enumerate(scores)
    ]  # fmt: skip


def quantised(folder, form, executable=True, size=100):
    folder.mkdir(parents=True)
    described = {"format": form, "executable": executable, "why": "no kernel", "bytes_after": size}
    (folder / "quantise.json").write_text(json.dumps(described))
    return Folder(str(folder))


def decided(tmp_path, tuned, baseline, formats=(), **settings):
    """`formats`: (name, executable, bytes, grades) of each."""
    given = {"tuned": tuned, "baseline": baseline}
    for i, (form, executable, size, rows) in enumerate(formats):
        given[f"quantised/{i}"] = rows
        given[f"models/{i}"] = quantised(tmp_path / f"model-{form}", form, executable, size)
    return examined(gate.STAGE, gate.Config(**settings), tmp_path / "gate", given).json(gate.OUTPUT)


def examined(stage, config, folder, given):
    """The stage over lists of grades and folders, with several parts for one input."""
    inputs = {
        name: as_table(folder / name.replace("/", "-"), value, Grade) if isinstance(value, list) else value
        for name, value in given.items()
    }
    step = Step(name=stage.name, stage=stage, config=config, resources=Resources(), inputs={})
    return execute(step, inputs, {n: v.fingerprint for n, v in inputs.items()}, Writer(folder / "out"), Silent())


TUNED = [*grades("tuned", [0.1] * 40), *grades("tuned+retrieval", [0.8] * 40)]
BASE = [*grades("base", [0.1] * 40), *grades("base+few-shot", [0.2] * 40), *grades("base+retrieval", [0.3] * 40)]


def test_the_smallest_format_that_kept_its_score_ships(tmp_path):
    formats = [
        ("w8a8", True, 200, grades("tuned-w8a8+retrieval", [0.8] * 40)),
        ("w4a16", True, 100, grades("tuned-w4a16+retrieval", [0.79] * 40)),
    ]
    found = decided(tmp_path, TUNED, BASE, formats)
    assert found["passed"] is True
    assert (found["ships"]["format"], found["ships"]["candidate"]) == ("w4a16", "tuned-w4a16+retrieval")
    assert [c["baseline"] for c in found["comparisons"]] == ["base", "base+few-shot", "base+retrieval"]
    assert found["comparisons"][2]["low"] == pytest.approx(0.5)
    assert found["formats"][1]["by_slice"]["numeric"]["questions"] == 40
    assert found["formats"][1]["difference"] == pytest.approx(-0.01)


def test_what_lost_too_much_or_cannot_run_stays_home_and_the_reason_is_told(tmp_path):
    formats = [
        ("w8a8", True, 200, grades("tuned-w8a8+retrieval", [0.6] * 40)),
        ("w4a16", False, 0, []),
    ]
    found = decided(tmp_path, TUNED, BASE, formats)
    assert found["passed"] is True
    assert (found["ships"]["format"], found["ships"]["candidate"]) == ("none", "tuned+retrieval")
    assert "w8a8: kept too little: overall 75.0%" in found["ships"]["why"]
    assert "w4a16: no kernel" in found["ships"]["why"]


def test_no_gain_is_written_down_not_raised(tmp_path):
    strong = grades("base+retrieval", [0.8] * 40)
    found = decided(tmp_path / "a", TUNED, [*BASE[:80], *strong])
    assert found["passed"] is False
    assert "does not surely beat base+retrieval" in found["why"]
    assert decided(tmp_path / "b", TUNED, [*BASE[:80], *strong], require_improvement=False)["passed"] is True


def test_exams_that_differ_are_refused(tmp_path):
    with pytest.raises(InputError, match="sat different exams"):
        decided(tmp_path, TUNED, grades("base", [0.1] * 39))
    with pytest.raises(InputError, match="not examined with retrieval"):
        decided(tmp_path / "other", TUNED[:40], BASE)


def test_a_format_that_is_near_the_tuned_but_not_surely_better_than_the_base_stays_home(tmp_path):
    base = [0.0, 1.0] * 20
    tuned = [*grades("tuned", base), *grades("tuned+retrieval", [0.2, 1.0] * 20)]
    small = [("w8a8", True, 100, grades("tuned-w8a8+retrieval", [1.0, 0.2] * 20))]
    found = decided(tmp_path, tuned, grades("base+retrieval", base), small)
    assert found["passed"] is True
    assert found["ships"]["format"] == "none"
    assert "does not surely beat base+retrieval" in found["formats"][0]["why"]
