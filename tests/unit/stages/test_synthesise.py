from __future__ import annotations

import collections
import dataclasses
import json
import re

import pytest

from metier.errors import InputError
from metier.inference.protocol import Response
from metier.inference.templates import PASSAGE_QUESTION, SENTENCE_QUESTION
from metier.models import ModelSource
from metier.records import ApiObject, Dialogue, Document, Parameter, Passage, Rejection
from metier.retrieval.prompt import ABSTENTION
from metier.stages.synthesise import STAGE, Config, Teacher, given_sentence, pair_from, sampled, structured
from metier.text.apitext import api_markdown
from metier.text.authoring import corpus_of
from metier.text.phrasings import Chooser
from tests.fixtures.stage_alone import run_alone
from tests.fixtures.tiny_model import make_tiny_model

VERBS = ("open", "close", "read", "write", "seek", "list", "copy", "move", "drop", "join")


def api(verb: str, split: str, number: int) -> Document:
    parameters = (
        Parameter(name="path", annotation="str", description=f"Where to {verb} the file on the disk."),
        Parameter(name=f"{verb}_limit", annotation="int | None", default=str(number), description=f"Most files to {verb} at once."),
        Parameter(name="strict", annotation="bool", default="None", description="Whether a warning is an error."),
    )  # fmt: skip
    thing = ApiObject(
        name=f"lib.Files.{verb}",
        kind="method",
        signature=f"{verb}(path, {verb}_limit={number}, strict=None)",
        summary=f"{verb.title()} one file after the other in order.",
        parameters=parameters,
        returns=f"What the {verb} gave back.",
        example=f"Files().{verb}('a')",
    )
    text = api_markdown(thing, "")
    return Document(uri=thing.name, title=thing.name, text=text, kind="method", module="lib", split=split, api=thing)


@pytest.fixture(scope="module")
def documents():
    splits = ["train"] * 6 + ["dev"] * 2 + ["final"] * 2
    return [api(verb, split, 10 + i) for i, (verb, split) in enumerate(zip(VERBS, splits, strict=True))]


def written(documents, **settings):
    config = Config(teacher=Teacher(pairs=0), **settings)
    return list(structured(config, corpus_of(documents))(documents))


def test_only_train_and_dev_documents_are_written_from(documents):
    dialogues = written(documents)
    roots = {d.id: d for d in documents}
    assert {d.split for d in dialogues} == {"train", "dev"}
    assert all(d.split == roots[d.root_id].split for d in dialogues)
    assert not any("lib.Files.drop" in d.answer or "lib.Files.join" in d.answer for d in dialogues)


def test_every_answer_rests_on_its_evidence_and_an_unanswerable_one_says_so(documents):
    for d in written(documents, max_per_document=50, difference_share=1.0):
        if d.task == "unanswerable":
            assert (d.answer, d.evidence) == (ABSTENTION, "")
            continue
        values = (
            [str(v) for v in json.loads(d.answer).values()]
            if d.task == "json"
            else re.findall(r"`([^`\n]+)`", d.answer)
        )
        known = d.evidence + d.question + "lib"
        assert all(v.strip("[]'") in known or "[" in v for v in values), d


def test_a_document_gives_no_more_than_its_share_and_many_kinds(documents):
    dialogues = written(documents, max_per_document=8, unanswerable_per_document=1, difference_share=0.0)
    per_document = collections.Counter(d.root_id for d in dialogues)
    assert set(per_document.values()) == {9}
    assert len({d.task for d in dialogues}) >= 8
    assert len({d.question for d in dialogues}) == len(dialogues)


def test_what_is_called_absent_is_absent(documents):
    by_root = {d.id: d for d in documents}
    names = {d.uri for d in documents}
    asked = [d for d in written(documents, unanswerable_per_document=12) if d.task == "unanswerable"]
    assert len(asked) > 30
    for d in asked:
        subject = re.search(r"lib\.Files\.\w+", d.question)
        assert subject
        parameter = re.findall(r"`(\w+)`", d.question)
        if subject[0] in names and parameter:
            assert parameter[0] not in by_root[d.root_id].text


def test_the_order_of_documents_changes_nothing_and_a_seed_does(documents):
    first = sorted(d.id for d in written(documents))
    assert sorted(d.id for d in written(documents[::-1])) == first
    assert sorted(d.id for d in written(documents, seed=1)) != first


def test_differences_stay_inside_a_split(documents):
    split_of = {d.uri: d.split for d in documents}
    differences = [d for d in written(documents, difference_share=1.0) if d.task == "difference"]
    assert len(differences) == 8
    for d in differences:
        assert {split_of[name] for name in re.findall(r"lib\.Files\.\w+", d.answer)} == {d.split}


def test_prose_is_asked_for_without_an_api(documents):
    text = "# The ledger rule\n\nEvery branch keeps a ledger of what it owes.\n\n## Limits\n\nA branch may owe 400 units at most.\n"
    prose = Document(uri="rule.md", title="The ledger rule", text=text, split="train", effective="2025-01-01")
    dialogues = written([prose], value_share=0.0)
    assert {d.task for d in dialogues} >= {"purpose", "number", "date"}
    assert any("400" in d.answer and d.task == "number" for d in dialogues)
    assert {d.effective for d in dialogues} == {"2025-01-01"}


def passage(number: int, split: str = "train") -> Passage:
    text = (
        f"lib.Files.open(path, limit={number}): Opens one file after the other in order {number}. Closes none of them."
    )
    return Passage(uri="u", title="lib.Files.open", section="", text=text, position=number, split=split)


def test_the_teacher_sees_the_same_train_passages_in_any_order():
    passages = [passage(i) for i in range(30)] + [passage(i, "dev") for i in range(30, 40)]
    taken = sampled(passages, 7, Chooser(0))
    assert {p.id for p in sampled(passages[::-1], 7, Chooser(0))} == {p.id for p in taken}
    assert {p.id for p in sampled(passages, 7, Chooser(1))} != {p.id for p in taken}
    assert {p.split for p in taken} == {"train"}
    assert len(sampled(passages, 100, Chooser(0))) == 30


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lib.f(a=(1, 2)): Adds the two numbers up.", "Adds the two numbers up."),
        ("Parameters of lib.f:\n- `a` (int, default 1): The number that is added.", "The number that is added."),
        ("lib.f returns: The sum of all numbers.", "The sum of all numbers."),
        ("Parameter `a` of lib.f (int | None, default None): Says how much is added.", "Says how much is added."),
        ("lib.f: Note: This operation changes nothing at all.", "This operation changes nothing at all."),
    ],
)
def test_the_given_answer_is_a_whole_sentence_without_its_head(text, sentence):
    made = Passage(uri="u", title="lib.f", section="", text=text, position=0, split="train")
    assert given_sentence(made, Chooser(0)) == sentence


@pytest.mark.parametrize(
    ("reply", "error", "reason"),
    [
        ("Question: In which order does lib.Files.open open a file?", "", ""),
        ("It opens files.", "", "unparsable"),
        ("Question: Is it so that it Opens one file after the other in order 1?", "", "answer_in_question"),
        ("Question: How does one file differ in lib.Files.shut?", "", "unknown_name"),
        ("Question: What is the weather like today?", "", "off_topic"),
        ("", "ValueError: no", "engine_error"),
    ],
)
def test_a_teachers_reply_is_a_dialogue_or_a_rejection(reply, error, reason):
    source = dataclasses.replace(passage(1), text="lib.Files.open(): Opens one file after the other in order 1.", id="")
    made = pair_from(source, Response(source.id, reply, 1, 1, "stop", error), SENTENCE_QUESTION, Chooser(0))
    assert made.parent_ids == (source.id,)
    if not reason:
        assert isinstance(made, Dialogue)
        assert made.question == "In which order does lib.Files.open open a file?"
        assert made.answer == "Opens one file after the other in order 1."
        assert (made.source, made.split, made.evidence) == ("teacher", "train", source.text)
    else:
        assert isinstance(made, Rejection)
        assert (made.stage, made.reason) == ("synthesise", reason)


def test_a_question_that_names_nothing_is_given_its_subject_and_a_larger_teacher_answers_itself():
    source = passage(1)
    reply = Response(
        source.id, "Question: In which order is a file opened?\nAnswer: One file after the other.", 1, 1, "stop"
    )
    made = pair_from(source, reply, PASSAGE_QUESTION, Chooser(0))
    assert isinstance(made, Rejection)
    assert made.reason == "off_topic"
    reply = dataclasses.replace(
        reply, text="Question: In which order are files opened?\nAnswer: Files in order are opened."
    )
    made = pair_from(source, reply, PASSAGE_QUESTION, Chooser(0))
    assert isinstance(made, Dialogue)
    assert made.question == "About `lib.Files.open`: In which order are files opened?"


def run(folder, documents, teacher, **model):
    return run_alone(STAGE, Config(teacher=teacher), folder, documents=documents,
                     passages=[passage(i) for i in range(8)], **model)  # fmt: skip


def test_the_stage_runs_both_generators_and_again_to_the_same_rows(ray_cluster, tmp_path, documents):
    model = ModelSource(str(make_tiny_model(tmp_path / "model", ["the file opens one after the other"])))
    teacher = Teacher(pairs=5, engine={"engine": "transformers"}, max_tokens=16)
    one = run(tmp_path / "one", documents, teacher, model=model)
    two = run(tmp_path / "two", documents, teacher, model=model)
    assert one.fingerprint == two.fingerprint
    assert sum(one.manifest.counts.rejected.values()) == 5  # a random model keeps no form
    assert {d.source for d in one.records(Dialogue)} == {"structured"}
    assert one.manifest.counts.kept == len({d.id for d in one.records(Dialogue)}) > 50


def test_a_teacher_without_a_model_is_refused(ray_cluster, tmp_path, documents):
    with pytest.raises(InputError, match=r"teacher\.pairs"):
        run(tmp_path, documents, Teacher(pairs=5))
