"""No exam question, near-copy of one, or document of one in training; and no more than that is taken out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from metier.records import Dialogue, Question, Rejection
from metier.stages.decontaminate import COPY, DOCUMENT, STAGE, Config, Exam, operator
from tests.fixtures.stage_alone import dialogue, run_alone

PROMPT = "What is the default value of `batch_size` in ray.data.Dataset.iter_batches?"


def question(prompt: str = PROMPT, **fields) -> Question:
    fields = {"slice": "numeric", "task": "default", "split": "final", "reference": "256", "points": ("256",)} | fields
    return Question(prompt=prompt, **fields)


def copies(text: str, prompt: str = PROMPT, task: str = "teacher") -> str:
    return Exam([question(prompt)], Config()).copied_by(text, task)


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (PROMPT, "is exam question"),
        (PROMPT.lower().replace("`", ""), "is exam question"),
        ("Please, what is the default value of `batch_size` in ray.data.Dataset.iter_batches?", "copies"),
        (
            f"I am new to all of this and my boss wants to know it by noon, so tell me: {PROMPT} Many thanks!",
            "contains",
        ),
        ("Tell me the default value that `Dataset.iter_batches` has for `batch_size`.", "asks what"),
    ],
)
def test_copies_are_found_in_any_dress(text, how):
    assert how in copies(text)


def test_of_one_task_the_same_names_are_the_same_question():
    text = "I say nothing about `batch_size` when I call `ray.data.Dataset.iter_batches`. What happens?"
    assert "asks for the default" in copies(text, task="default")
    assert copies(text, task="type") == ""


@pytest.mark.parametrize(
    "text",
    [
        PROMPT.replace("batch_size", "prefetch_batches"),
        PROMPT.replace("iter_batches", "map_batches"),
        "What does ray.data.Dataset.iter_batches do?",
        "Which type has `batch_size` in ray.data.Dataset.iter_batches?",
    ],
)
def test_other_names_make_another_question(text):
    assert copies(text) == ""


def test_prose_is_told_apart_by_its_titles_and_numbers():
    prompt = 'What does "The ledger rule" say about the limits of a branch?'
    assert copies(prompt.replace("ledger", "margin"), prompt) == ""
    assert copies("How is a branch limited?", prompt) == ""
    assert copies('Of a branch, what does "The ledger rule" say about limits?', prompt)
    assert (
        copies(
            "Are 20 officers needed for a consent of the branch?", "Are 2 officers needed for a consent of the branch?"
        )
        == ""
    )


def judged(one: Dialogue, *questions: Question) -> str:
    (out,) = operator(Exam(questions, Config()))([one])
    return out.reason if isinstance(out, Rejection) else ""


@pytest.mark.parametrize(
    ("split", "asked", "reason"),
    [
        ("train", ("dev",), DOCUMENT),
        ("train", ("final",), DOCUMENT),
        ("", ("final",), DOCUMENT),
        ("dev", ("dev",), ""),
        ("dev", ("final",), DOCUMENT),
        ("dev", ("dev", "final"), DOCUMENT),
    ],
)
def test_documents_of_the_exam_are_left_out_of_training(split, asked, reason):
    one = dialogue("What is a ledger?", "A book.", split=split, root_id="d" * 32)
    exam = [question(f"{PROMPT} {s}", split=s, root_id="d" * 32) for s in asked]
    assert judged(one, *exam) == reason


def test_dev_dialogues_may_not_copy_dev_questions_either():
    assert judged(dialogue(PROMPT, "256", split="dev"), question(split="dev")) == COPY


TEXTS = st.lists(st.sampled_from(["what", "limit", "`x`", "`y`", "7", '"a b"', "of", "rule"]), max_size=8).map(" ".join)


@effort(deadline=None, max_examples=60)
@given(st.lists(TEXTS, max_size=10), st.lists(TEXTS, max_size=5))
def test_every_row_is_kept_or_rejected_and_no_kept_one_is_an_exam_question(texts, prompts):
    rows = [dialogue(text, "x") for text in texts]
    out = list(operator(Exam([question(p) for p in prompts], Config()))(rows))
    assert [o.record_id if isinstance(o, Rejection) else o.id for o in out] == [r.id for r in rows]
    assert not {o.question for o in out if isinstance(o, Dialogue)} & set(prompts)


def test_the_stage_names_the_exam_question(ray_cluster, tmp_path):
    exam = question(root_id="e" * 32)
    rows = [
        dialogue(PROMPT, "256"),
        dialogue("What is a ledger?", "A book."),
        dialogue("Who signs?", "Ann.", root_id="e" * 32),
    ]
    made = run_alone(STAGE, Config(), tmp_path, dialogues=rows, questions=[exam])
    assert [d.id for d in made.records(Dialogue)] == [rows[1].id]
    assert made.manifest.counts.rejected == {COPY: 1, DOCUMENT: 1}
    assert all(exam.id in r.evidence for r in made.records(Rejection, "rejected"))


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_rows_with_one_id_only_the_copy_goes(tmp_path, order):
    rows = [dialogue(PROMPT, "256", id="x"), dialogue("Where does the tower stand?", "In Bern.", id="x")]
    made = run_alone(STAGE, Config(), tmp_path, dialogues=rows[::order], questions=[question()])
    assert [one.answer for one in made.records(Dialogue)] == ["In Bern."]
    (lost,) = made.records(Rejection, "rejected")
    assert PROMPT in lost.row.replace('\\"', '"')
