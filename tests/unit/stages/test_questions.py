"""The exam's stage and the passages' stage, on documents that were read by the first stages."""

from __future__ import annotations

import collections

import pytest

from metier.errors import InputError
from metier.execution.plan import make_plan
from metier.execution.runner import Silent, run_plan
from metier.lineage.source import PathSource
from metier.lineage.store import Store
from metier.records import Document, Passage, Question
from metier.stages import chunk, decontaminate, ingest, questions, split
from tests.fixtures.stage_alone import dialogue

EXAM = "- {question: 'How tall is the tower?', answer: 90 metres., points: ['90'], slice: numeric}\n"


def steps(folder, written=None, **settings):
    read = ingest.STAGE.step(ingest.Config(), sources=ingest.documents_at(str(folder)))
    dealt = split.STAGE.step(split.Config(), documents=read)
    cut = chunk.STAGE.step(chunk.Config(max_words=40), documents=dealt)
    exam = questions.STAGE.step(questions.Config(**settings), documents=dealt, written=written)
    return [cut, exam]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    for i, thing in enumerate(["tower", "bridge", "harbour", "market", "garden", "museum", "station", "library"] * 3):
        text = f"# {thing} {i}\n\nVisitors reach the place through gate {i + 3} at noon."
        text += f"\n\n## Hours of {thing}{i}\n\nGuards close it.\n"
        (root / f"{thing}{i}.md").write_text(text)
    return root


def test_the_exam_is_about_documents_outside_training_and_holds_the_written_questions(folder, tmp_path, ray_cluster):
    exam = tmp_path / "exam.yaml"
    exam.write_text(EXAM)
    made = run_plan(
        make_plan(steps(folder, PathSource(str(exam))), Store(tmp_path / "s")), Store(tmp_path / "s"), Silent()
    )
    sides = {d.uri: d.split for d in made["split"].records(Document)}
    asked = list(made["questions"].records(Question))
    derived = [q for q in asked if q.written_by == "derived"]
    assert [q.prompt for q in asked if q.written_by == "hand"] == ["How tall is the tower?"]
    assert {q.split for q in derived} == {"dev", "final"}
    assert all(sides[q.uri] == q.split for q in derived)
    assert max(collections.Counter(q.uri for q in derived).values()) <= 3
    passages = list(made["chunk"].records(Passage))
    assert {p.uri for p in passages} == set(sides)
    assert all(p.split == sides[p.uri] for p in passages)


def test_no_question_for_the_final_exam_is_refused(folder, tmp_path, ray_cluster):
    none = questions.PerSlice(numeric=0, factual=0, usage=0, format=0, unanswerable=0)
    with pytest.raises(InputError, match="no question for the final exam"):
        run_plan(make_plan(steps(folder, final=none)[1:], Store(tmp_path / "s")), Store(tmp_path / "s"), Silent())


def test_a_written_question_keeps_its_document_out_of_training(folder, tmp_path, ray_cluster):
    exam = tmp_path / "exam.yaml"
    exam.write_text(EXAM.replace("slice: numeric", "slice: numeric, uri: tower0.md"))
    store = Store(tmp_path / "s")
    made = run_plan(make_plan(steps(folder, PathSource(str(exam))), store), store, Silent())
    home = next(d for d in made["split"].records(Document) if d.uri == "tower0.md")
    asked = next(q for q in made["questions"].records(Question) if q.written_by == "hand")
    assert (asked.root_id, asked.parent_ids) == (home.root_id, (home.id,))
    pair = dialogue("How tall is it?", "90 metres.", root_id=home.root_id)
    kept = decontaminate.operator(decontaminate.Exam([asked], decontaminate.Config()))([pair])
    assert [r.reason for r in kept] == [decontaminate.DOCUMENT]
    exam.write_text(EXAM.replace("slice: numeric", "slice: numeric, uri: none.md"))
    with pytest.raises(InputError, match=r"no document is called 'none\.md'"):
        run_plan(make_plan(steps(folder, PathSource(str(exam)))[1:], store), store, Silent())
