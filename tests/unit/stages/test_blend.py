"""The blend, over a real index: who is kept, what the prompts show, and that every row comes out."""

from __future__ import annotations

import pytest

from metier.errors import StepError
from metier.lineage.artifact import Artifact
from metier.lineage.source import PathSource
from metier.records import Dialogue as Pair
from metier.records import Passage, Rejection
from metier.retrieval.embedding import EmbedderSource
from metier.retrieval.prompt import ABSTENTION
from metier.stages import blend, index
from metier.training.space import WINNER
from tests.fixtures.stage_alone import dialogue, run_alone

EMBEDDER = EmbedderSource("all-minilm-l6-v2")
NAMES = ("ledger", "reserve", "margin", "audit", "invoice", "dividend", "hedge", "voucher")


def split_of(number):
    return ("train", "train", "train", "train", "train", "dev", "dev", "final")[number]


def fact(number, word):
    return f"The {word} of the {NAMES[number]} is {100 + number} units."


PASSAGES = [
    Passage(uri=name, title=name, section="", text=fact(i, word), position=j, root_id=name, split=split_of(i))
    for i, name in enumerate(NAMES)
    for j, word in enumerate(("limit", "price"))
]


def pairs():
    made = []
    for i, name in enumerate(NAMES):
        for word in ("limit", "price"):
            made.append(dialogue(f"What is the {word} of the {name}?", f"It is {100 + i} units.", task="number",
                                 split=split_of(i), root_id=name, evidence=fact(i, word)))  # fmt: skip
        made.append(dialogue(f"What is {name} for?", f"{name} is a thing.", task="purpose", split=split_of(i),
                             root_id=name, evidence=fact(i, "limit")))  # fmt: skip
        made.append(dialogue(f"Who wrote {name}?", ABSTENTION, task="unanswerable", split=split_of(i), root_id=name))
    return made


@pytest.fixture(scope="module")
def search(tmp_path_factory) -> Artifact:
    return run_alone(
        index.STAGE, index.Config(), tmp_path_factory.mktemp("index"), passages=PASSAGES, embedder=EMBEDDER
    )


@pytest.fixture
def blended(tmp_path, search):
    def run(rows=None, name="one", **settings):
        config = blend.Config(**{"closed_book_abstention_share": 0, "withheld_share": 0} | settings)
        given = {"dialogues": pairs() if rows is None else rows, "passages": PASSAGES}
        return run_alone(blend.STAGE, config, tmp_path / name, index=search, embedder=EMBEDDER, **given)

    return run


def rows_of(artifact):
    return tuple(list(artifact.records(kind, table)) for kind, table in
                 ((Pair, "kept"), (Pair, "validation"), (Rejection, "rejected")))  # fmt: skip


def test_every_row_comes_out_and_no_exam_document_is_seen(blended):
    kept, validation, lost = rows_of(blended())
    assert (len(kept), len(validation), len(lost)) == (20, 8, 4)
    assert {r.reason for r in lost} == {blend.EXAM_SPLIT}
    seen = {p.id: p.split for p in PASSAGES}
    for side, rows in (("train", kept), ("dev", validation)):
        assert {seen[one] for d in rows for one in d.passage_ids} == {side}


def test_a_prompt_with_passages_holds_its_evidence(blended):
    kept, _, _ = rows_of(blended(retrieval_share=1))
    assert {d.framing for d in kept} == {"retrieval"}
    answered = [d for d in kept if d.task == "number"]
    assert len(answered) == 10
    assert all(d.evidence in d.question for d in answered)
    assert all(len(d.passage_ids) == 3 for d in kept)


def test_closed_book_keeps_to_its_tasks_and_to_abstentions(blended):
    kept, _, _ = rows_of(blended(retrieval_share=0, closed_book_abstention_share=0.5))
    closed = [d for d in kept if d.framing == "closed_book"]
    assert {d.task for d in closed} == {"purpose", "unanswerable", "number"}
    assert {d.answer for d in closed if d.task == "number"} == {ABSTENTION}
    assert all("\n\nQuestion: " not in d.question for d in closed)


def test_what_people_said_is_closed_book_with_its_own_answer_and_held_out_like_the_rest(blended):
    logged = [
        dialogue(f"What is the limit of the {name}?", answer, task="conversation", source="production", split=side)
        for name in NAMES
        for side, answer in (("train", "Ask your branch."), ("dev", ABSTENTION))
    ]
    settings = {"retrieval_share": 1, "closed_book_abstention_share": 0.5}
    kept, validation, lost = rows_of(blended([*pairs(), *logged], **settings))
    for rows, answer in ((kept, "Ask your branch."), (validation, ABSTENTION)):
        real = [d for d in rows if d.source == "production"]
        assert len(real) == len(NAMES)
        assert {(d.framing, d.answer, d.passage_ids) for d in real} == {("closed_book", answer, ())}
        assert all("Question: " not in d.question for d in real)
    assert not [one for one in lost if one.reason == blend.NO_PASSAGE]


def test_an_expert_s_answer_to_what_no_document_holds_is_closed_book(blended):
    edited = dialogue("Who wrote ledger?", "The audit board.", task="unanswerable", split="train", root_id="ledger",
                      reviewed="edited")  # fmt: skip
    kept, _, _ = rows_of(blended([*pairs(), edited], retrieval_share=1))
    (one,) = [d for d in kept if d.reviewed]
    assert (one.framing, one.answer) == ("closed_book", "The audit board.")


def test_withheld_passages_make_abstentions(blended):
    kept, _, _ = rows_of(blended(withheld_share=0.5))
    turned = [d for d in kept if d.task == "number" and d.answer == ABSTENTION]
    assert 1 <= len(turned) < 10
    original = {d.id: d for d in pairs()}
    for one in turned:
        assert original[one.parent_ids[0]].evidence not in one.question


def test_quotas_leave_the_tasks_balanced(blended):
    quotas = {"max_dialogues": 6, "validation_dialogues": 2, "task_weights": {}, "questions_per_context": 1}
    kept, validation, lost = rows_of(blended(**quotas))
    assert sorted(d.task for d in kept) == ["number"] * 2 + ["purpose"] * 2 + ["unanswerable"] * 2
    assert len(validation) == 2
    assert len(lost) == 32 - 8
    few, _, _ = rows_of(blended(name="two", max_tokens=1000, questions_per_context=1))
    assert 1 <= len(few) < 20


def test_questions_of_one_document_share_their_passages(blended):
    apart, _, _ = rows_of(blended(name="apart", retrieval_share=1, questions_per_context=1))
    kept, _, _ = rows_of(blended(retrieval_share=1))
    assert {d.parent_ids for d in kept} == {d.parent_ids for d in apart}
    contexts = {d.passage_ids for d in kept}
    assert len(contexts) < len({d.passage_ids for d in apart})
    behind = {c: {d.root_id for d in kept if d.passage_ids == c} for c in contexts}
    assert all(len(roots) == 1 for roots in behind.values())
    assert all(d.evidence in d.question for d in kept)
    few, _, _ = rows_of(blended(name="few", max_tokens=1200, retrieval_share=1, questions_per_context=1))
    more, _, _ = rows_of(blended(name="more", max_tokens=1200, retrieval_share=1))
    assert len(more) > len(few)


def test_what_no_passage_holds_is_rejected(blended):
    odd = dialogue(
        "What is the weight?", "It is 7.", task="number", split="train", root_id="ledger", evidence="Weight: 7."
    )
    _, _, lost = rows_of(blended([*pairs(), odd]))
    assert [r.record_id for r in lost if r.reason == blend.NO_PASSAGE] == [odd.id]


def test_order_changes_nothing_and_a_seed_does(blended):
    one, other = blended(), blended(pairs()[::-1], name="two")
    assert one.fingerprint == other.fingerprint
    assert blended(name="three", seed=1).fingerprint != one.fingerprint


def test_nothing_to_train_on_is_said(blended):
    with pytest.raises(StepError, match="no dialogue is left"):
        blended([d for d in pairs() if d.split != "train"])


def test_a_row_that_the_table_holds_twice_is_blended_once(blended):
    kept, validation, lost = rows_of(blended([*pairs(), *pairs()[:2]]))
    assert (len(kept), len(validation)) == (20, 8)
    assert sum(one.reason == blend.REPEATED for one in lost) == 2


def test_what_a_search_found_replaces_the_settings_of_the_file(tmp_path, search):
    (tmp_path / WINNER).write_text('{"settings": {"blend.retrieval_share": 0, "epochs": 9}}')
    made = run_alone(blend.STAGE, blend.Config(retrieval_share=1), tmp_path / "one", index=search, embedder=EMBEDDER,
                     dialogues=pairs(), passages=PASSAGES, settings=PathSource(str(tmp_path)))  # fmt: skip
    assert {d.framing for d in made.records(Pair) if d.task == "purpose"} == {"closed_book"}
