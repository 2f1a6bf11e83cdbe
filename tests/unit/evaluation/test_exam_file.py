"""The hand-written exam, and how a bad one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from metier.errors import InputError
from metier.evaluation.exam_file import read_exam
from metier.evaluation.graders import grade
from metier.records import Rejection
from metier.retrieval.prompt import ABSTENTION
from metier.text.reflection import reflect

RAY = Path(__file__).parents[3] / "examples" / "exams" / "ray-by-hand.yaml"
GOOD = "- {question: 'How many are there?', answer: Three., points: ['3|three'], slice: numeric}\n"


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "exam.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as fault:
        read_exam(path, "No idea.")
    return str(fault.value)


def test_a_written_question_is_a_final_one(tmp_path):
    path = tmp_path / "exam.yaml"
    path.write_text(GOOD + "- {question: 'Who sang it first?', slice: unanswerable}\n")
    first, second = read_exam(path, "No idea.")
    assert (first.split, first.written_by, first.points, first.answerable) == ("final", "hand", ("3|three",), True)
    assert (second.reference, second.points, second.answerable) == ("No idea.", (), False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            GOOD + "- {question: 'What is it then?', answer: It., slice: factual}\n",
            "entry 2: Value error, an answer and at least",
        ),
        (GOOD + GOOD, "entry 2: the same question as entry 1"),
        ("- {question: 'What is it?', answer: It., points: [it], slice: history}\n", "entry 1: slice"),
        ("- {question: 'What is it?', answer: It., points: [it], slice: factual, pionts: 1}\n", "entry 1: pionts"),
        ("- {question: 'What is it?', answer: '{}', points: [it], slice: format, format: json}\n", "json_keys"),
        (
            "- {question: 'What is it?', answer: 'It is 5.', points: ['5'], slice: format, format: json, json_keys: [a]}\n",
            "the answer is a JSON object",
        ),
        ("just words", "is a list of questions"),
        ("- [unclosed", "line 1: not YAML"),
    ],
)
def test_a_bad_exam_is_refused_with_the_place(tmp_path, text, said):
    message = refused(tmp_path, text)
    assert said in message
    assert "exam.yaml" in message


def test_a_missing_exam_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such exam file"):
        read_exam(tmp_path / "none.yaml", "x")


def test_the_exam_on_ray_asks_about_documents_that_hold_the_answers():
    questions = read_exam(RAY, "No idea.")
    assert len(questions) == 30
    documents = {d.uri: d for d in reflect("ray", "0") if not isinstance(d, Rejection)}
    for question in questions:
        if question.uri:
            text = documents[question.uri].text.lower().replace("\n", " ")
            for point in question.points:
                assert any(form.lower() in text for form in point.split("|")), (question.prompt, point)


def test_its_references_score_full_marks_and_repeating_the_question_does_not():
    for question in read_exam(RAY, ABSTENTION):
        assert grade(question, question.reference).score == 1, question.prompt
        assert grade(question, question.prompt).score < 0.6, question.prompt
