"""The exam stage with a real engine over a tiny random model: who is asked what, and what the grades say."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from metier.errors import InputError, StepError
from metier.inference.engines import TransformersEngine
from metier.inference.protocol import Response
from metier.records import Dialogue, Grade, Passage, Question
from metier.retrieval.embedding import EmbedderSource
from metier.retrieval.prompt import ABSTENTION
from metier.stages import exam, index
from tests.fixtures.stage_alone import dialogue, run_alone
from tests.fixtures.tiny_model import make_tiny_model

EMBEDDER = EmbedderSource("all-minilm-l6-v2")
PASSAGES = [
    Passage(uri=name, title=name, section="", text=f"The limit of the {name} is {i} units.", position=0, root_id=name)
    for i, name in enumerate(("ledger", "reserve", "margin", "audit"))
]
QUESTIONS = [
    Question(prompt=f"What is the limit of the {p.title}?", reference=f"{i} units", points=(str(i),), slice="numeric",
             task="number", split="final" if i else "dev", root_id=p.root_id, uri=p.uri)
    for i, p in enumerate(PASSAGES)
]  # fmt: skip
EXAMPLES = [
    dialogue(f"{task}?", f"answer to {task}", task=task, split=split)
    for task in ("returns", "default", "json", "purpose", "which", "unanswerable")
    for split in ("train", "dev")
]


@dataclass
class Folder:
    location: str
    fingerprint: str = "x"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Folder(str(make_tiny_model(tmp_path_factory.mktemp("tiny") / "model", [p.text for p in PASSAGES])))


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    return run_alone(index.STAGE, index.Config(), tmp_path_factory.mktemp("i"), passages=PASSAGES, embedder=EMBEDDER)


@pytest.fixture
def sat(tmp_path, model, search):
    def run(name="exam", **settings):
        engine = TransformersEngine(engine="transformers", dtype="float32")
        config = exam.Config(**{"candidate": "tiny", "engine": engine, "max_tokens": 4, "passages": 2} | settings)
        given = {"questions": QUESTIONS, "dialogues": EXAMPLES}
        return run_alone(exam.STAGE, config, tmp_path / name, model=model, index=search, embedder=EMBEDDER, **given)

    return run


def test_every_question_is_asked_in_every_mode(sat, ray_cluster):
    made = sat(modes=("closed_book", "few_shot", "retrieval"))
    grades = list(made.records(Grade))
    assert made.manifest.counts.read == made.manifest.counts.kept == 9
    assert {g.candidate for g in grades} == {"tiny", "tiny+few-shot", "tiny+retrieval"}
    assert {g.split for g in grades} == {"final"}
    retrieved = [g for g in grades if g.candidate == "tiny+retrieval"]
    assert all(g.gold_retrieved and len(g.passage_ids) == 2 for g in retrieved)
    assert not any(g.passage_ids for g in grades if g.candidate != "tiny+retrieval")
    assert min(g.prompt_tokens for g in retrieved) > max(g.prompt_tokens for g in grades if g.candidate == "tiny")
    assert made.fingerprint == sat("again", modes=("retrieval", "few_shot", "closed_book")).fingerprint


def answering(monkeypatch, answer):
    """An engine that answers as the test says: what is looked at is the stage."""

    def generate(requests, engine, model, resources, progress):
        yield from (answer(r) for r in requests)

    monkeypatch.setattr(exam, "generate", generate)


def said(request, text, error=""):
    return Response(request.id, text, 10, 2, "stop", error)


def test_answers_are_graded_against_their_own_question(sat, monkeypatch):
    answering(monkeypatch, lambda r: said(r, "1 unit" if "reserve" in r.messages[-1].content else ABSTENTION))
    grades = list(sat(modes=("closed_book",)).records(Grade))
    assert {g.prompt: g.score for g in grades} == {
        "What is the limit of the reserve?": pytest.approx(1.0),
        "What is the limit of the margin?": 0,
        "What is the limit of the audit?": 0,
    }


def test_more_than_a_few_failed_answers_are_no_exam(sat, monkeypatch):
    answering(monkeypatch, lambda r: said(r, "", "out of memory"))
    with pytest.raises(StepError, match="3 of 3 answers failed, the first with: out of memory"):
        sat(modes=("closed_book",))


def test_lost_answers_are_no_exam(sat, monkeypatch):
    monkeypatch.setattr(exam, "generate", lambda *_: iter(()))
    with pytest.raises(StepError, match="3 of 3 questions came back without an answer"):
        sat(modes=("closed_book",))


def test_a_format_that_this_machine_cannot_execute_is_not_examined(tmp_path, search):
    (tmp_path / "quantised").mkdir()
    (tmp_path / "quantised" / "quantise.json").write_text(json.dumps({"executable": False}))
    made = run_alone(exam.STAGE, exam.Config(modes=("retrieval",)), tmp_path, questions=QUESTIONS, index=search,
                     model=Folder(str(tmp_path / "quantised")), embedder=EMBEDDER)  # fmt: skip
    assert list(made.records(Grade)) == []
    assert made.manifest.counts.kept == 0


def test_examples_show_every_form_of_answer_first_and_only_training_rows():
    shots = exam.examples_from(EXAMPLES, 5)
    assert [question for question, _ in shots] == ["default?", "json?", "purpose?", "unanswerable?", "which?"]
    long = dialogue("Why?", "word " * 100, task="default")
    dev: list[Dialogue] = [d for d in EXAMPLES if d.split == "dev"]
    assert exam.examples_from([long, *dev], 5) == []


@pytest.mark.parametrize(("modes", "missing", "match"), [
    (("few_shot",), "dialogues", "needs the input dialogues"),
    (("retrieval",), "index", "needs the inputs index and embedder"),
])  # fmt: skip
def test_a_mode_without_its_input_is_refused(tmp_path, model, search, modes, missing, match):
    given = {"dialogues": EXAMPLES, "index": search, "embedder": EMBEDDER}
    del given[missing]
    with pytest.raises(InputError, match=match):
        run_alone(exam.STAGE, exam.Config(modes=modes), tmp_path, questions=QUESTIONS, model=model, **given)


def test_an_exam_without_questions_is_refused(tmp_path, model):
    with pytest.raises(InputError, match="no question of the split final"):
        run_alone(exam.STAGE, exam.Config(modes=("closed_book",)), tmp_path, questions=QUESTIONS[:1], model=model)
