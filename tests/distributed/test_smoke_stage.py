"""The smoke stage on real Ray Serve with a model that can't start. That it serves a good one, the end-to-end run shows."""

from __future__ import annotations

import json

import pytest

from metier.config import Resources
from metier.errors import StepError
from metier.execution.runner import execute
from metier.execution.step import Step
from metier.lineage.artifact import Artifact, Writer
from metier.lineage.store import Store
from metier.records import Question
from metier.stages import smoke
from tests.fixtures.tiny_release import Nobody, make_artifacts, put, run_register

pytestmark = pytest.mark.timeout(300)


def question(subject: str, answerable: bool = True) -> Question:
    return Question(prompt=f"What is the {subject} limit?", reference="r", points=("r",), slice="numeric", task="limit",
                    split="final", answerable=answerable)  # fmt: skip


def run_smoke(root, release: Artifact) -> Artifact:
    exam = [question("audit"), question("hedge"), question("moon", answerable=False)]
    asked = put(Store(root), "questions", lambda w: w.table("kept", Question, exam))
    step = Step("smoke", smoke.STAGE, smoke.Config(answerable=2), Resources(), {})
    inputs = {"release": release, "questions": asked}
    prints = {name: one.fingerprint for name, one in inputs.items()}
    return execute(step, inputs, prints, Writer(Store(root).folder("smoke", "one")), Nobody())


def test_a_model_that_cannot_start_fails_with_its_own_words(tmp_path, ray_cluster):
    from ray import serve

    made = make_artifacts(tmp_path)
    release = run_register(tmp_path, made)
    folder = made["merge"].path("model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["NoSuchModel"], "model_type": "nosuch"}))
    with pytest.raises(StepError, match="did not come up: .*nosuch"):
        run_smoke(tmp_path, release)
    assert serve.status().applications == {}
