from __future__ import annotations

from metier.config import TrainResources
from metier.execution.step import Context
from metier.lineage.artifact import Writer
from metier.records import Question
from metier.stages import train
from metier.stages.dev_exam import dev_exam
from tests.fixtures.stage_alone import as_table
from tests.fixtures.training_job import tiny_questions


def test_the_dev_exam_is_a_seeded_choice_of_the_dev_half(tmp_path):
    questions = as_table(tmp_path / "questions", [*tiny_questions(9), *tiny_questions(9, "final")], Question)
    given = {"questions": questions}
    context = Context("train", train.Config(), TrainResources(), given, Writer(tmp_path / "out"), train.STAGE)

    def chosen(seed: int) -> list[str]:
        return [q.question.id for q in dev_exam(context, 3, seed, 2)]

    assert chosen(0) == chosen(0) != chosen(1)
    assert set(chosen(0)) <= {q.id for q in tiny_questions(9)}
    assert len(chosen(0)) == 3
