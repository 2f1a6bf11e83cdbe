"""What an experiment left behind, counted and put together."""

from __future__ import annotations

import dataclasses

import pytest

from metier.records import ApiObject, Document
from metier.reporting.gather import StepFacts, corpus_of, course_of, makeup_of, merging_of, story_of
from metier.training.course import Point
from tests.fixtures.report_inputs import course
from tests.fixtures.stage_alone import dialogue


def document(uri, text, split="train", api=None, version=""):
    return Document(uri=uri, title=uri, text=text, split=split, api=api, version=version)


def facts(stage, **fields):
    fields = {"revision": 1, "key": "", "content": "", "size": 0, "read": 0, "kept": 0, "rejected": {}} | fields
    return StepFacts(step=fields.pop("step", stage), stage=stage, **fields)


def test_documents_are_counted_by_origin_and_split():
    api = ApiObject(name="ray.init", kind="function", signature="init()", summary="")
    read = [
        document("a.md", "one two three"),
        document("b.md", "four", split="final"),
        document("ray.init", "five six", api=api, version="2.60.0"),
    ]
    found = corpus_of(iter(read))
    assert (found.documents, found.words) == (3, 6)
    assert found.origins == {"files": 2, "public objects of ray 2.60.0": 1}
    assert found.splits == {"train": 2, "final": 1}


def test_documents_that_were_never_split_say_so():
    assert corpus_of([document("a.md", "", split="")]).splits == {"none": 1}


def test_the_training_set_is_told_by_task_framing_and_source():
    pairs = [
        dialogue("a", "b", task="default"),
        dialogue("c", "d", task="default", framing="retrieval", reviewed="edited"),
        dialogue("e", "f", task="purpose", source="teacher"),
        dialogue("g", "h", task="json"),
    ]
    found = makeup_of(iter(pairs), validation=7)
    assert found.tasks == {
        "default": {"closed_book": 1, "retrieval": 1}, "json": {"closed_book": 1}, "purpose": {"closed_book": 1},
    }  # fmt: skip
    assert list(found.tasks) == ["default", "json", "purpose"]  # the largest first, then by name
    assert found.sources == {"structured": 3, "teacher": 1}
    assert (found.rows, found.reviewed, found.validation) == (4, 1, 7)


def test_the_course_of_training_comes_from_its_two_files():
    found = course_of(*course())
    assert len(found.losses) == 160
    assert [p.step for p in found.points] == [40, 80, 120, 160]
    assert isinstance(found.points[0], Point)
    assert found.best_step == 120
    assert found.verdict.startswith("Overfitting")


def told(story, **fields):
    return story_of(dataclasses.replace(story.material, **fields))


def test_steps_are_told_in_the_order_in_which_rows_pass_them(won):
    steps = [facts(s) for s in ("train", "gate", "filter", "deduplicate", "exam", "synthesise", "split", "ingest")]
    found = told(won, steps=steps)
    assert [s.step for s in found.pairs] == ["synthesise", "deduplicate", "filter", "train"]
    assert [s.step for s in found.documents] == ["ingest", "split"]


def test_time_adds_up_and_the_newest_step_is_found_without_a_receipt_of_each(won):
    steps = [
        facts("ingest", seconds=2.0, started="2026-01-05T10:00:00Z"),
        facts("gate", seconds=0.5, started="2026-01-05T11:00:00Z"),
        facts("train"),
    ]
    found = told(won, steps=steps)
    assert found.seconds == 2.5
    assert found.newest.step == "gate"
    assert told(won, steps=[facts("train")]).newest is None


def test_the_gain_is_the_one_over_the_best_baseline(won):
    assert won.board.baseline.name == "base+retrieval"
    assert won.gain.baseline == "base+retrieval"
    assert won.gain.difference == pytest.approx(won.board.shipped.whole.mean - won.board.baseline.whole.mean)
    assert (won.tally.better + won.tally.same + won.tally.worse) == won.asked == 139


def test_a_format_is_found_by_name(won):
    assert won.format_of("w8a8").bytes_after == 220_411_904
    assert won.format_of("none") is None


def test_without_a_baseline_there_is_nothing_to_compare(won):
    alone = [g for g in won.material.grades if "tuned" in g.candidate]
    decision = dataclasses.replace(won.material.decision, comparisons=())
    found = told(won, grades=alone, decision=decision)
    assert (found.gain, found.tally, found.gains, found.groups) == (None, None, (), ())


def test_a_gate_whose_choice_sat_no_exam_is_refused(won):
    rest = [g for g in won.material.grades if g.candidate != "tuned+retrieval"]
    with pytest.raises(ValueError, match=r"no grades of tuned\+retrieval"):
        told(won, grades=rest)


def test_a_merge_of_an_older_shape_tells_nothing():
    assert merging_of({"layers": 14}) is None
