"""Which questions the smoke stage asks."""

from metier.records import Question
from metier.stages.smoke import Config, chosen


def question(number: int, task: str, *, answerable: bool = True, split="final") -> Question:
    return Question(prompt=f"{task} {number}?", reference="r", points=("r",), slice="factual", task=task, split=split,
                    answerable=answerable)  # fmt: skip


EXAM = [
    *(question(n, task) for n in range(5) for task in ("default", "purpose", "usage")),
    question(9, "unanswerable", answerable=False),
    question(8, "other", split="dev"),
]


def test_different_tasks_of_the_final_half_and_one_without_an_answer():
    asked = chosen(EXAM, Config())
    assert sorted(q.split()[0] for q in asked) == ["default", "purpose", "unanswerable", "usage"]
    assert asked == chosen(reversed(EXAM), Config())


def test_more_than_there_are_tasks_takes_more_of_each():
    assert len(set(chosen(EXAM, Config(answerable=7, unanswerable=0)))) == 7


def test_questions_of_ones_own_are_asked_instead():
    assert chosen(EXAM, Config(questions=("Why?",))) == ["Why?"]


def test_a_small_exam_gives_what_it_has():
    assert chosen(EXAM[:1], Config()) == ["default 0?"]
    assert chosen([], Config()) == []
