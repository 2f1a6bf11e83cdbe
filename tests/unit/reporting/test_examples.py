"""Which answers and rejected rows are shown: drawn, not picked, and the same whatever the order they come in."""

from __future__ import annotations

import random

import pytest

from metier.records import Document, Grade, Question, rejection
from metier.reporting.exam import Candidate, Cell, Scoreboard
from metier.reporting.examples import LONGEST, groups, rejected_rows, shortened
from tests.fixtures.stage_alone import dialogue

OURS, THEIRS, OTHER = "tuned+retrieval", "base+retrieval", "tuned"
CELLS = {"all": Cell(0.5, 0.4, 0.6, 60)}
BOARD = Scoreboard(
    ("numeric",),
    (
        Candidate(THEIRS, "prompted", False, CELLS),
        Candidate(OTHER, "tuned", False, CELLS),
        Candidate(OURS, "tuned", True, CELLS),
    ),
)


def asked(number, **fields):
    fields = {"slice": "numeric", "task": "default", "split": "final", "reference": "256", "points": ()} | fields
    return Question(prompt=f"question {number}", **fields)


def grade(question, candidate, score, **fields):
    fields = {"correctness": score, "completeness": score, "format": 1.0, "answer": f"{candidate} says"} | fields
    return Grade(question_id=question.id, candidate=candidate, slice="numeric", split="final", prompt=question.prompt,
                 reference=question.reference, score=score, **fields)  # fmt: skip


QUESTIONS = [asked(i) for i in range(60)]
GAINS = {OURS: (1.0, 0.0, 0.5), THEIRS: (0.0, 0.5, 0.5), OTHER: (0.0, 0.0, 0.0)}  # a win, a loss, a tie, and so on
SHEETS = {
    name: {q.id: grade(q, name, scores[i % 3]) for i, q in enumerate(QUESTIONS)} for name, scores in GAINS.items()
}


def drawn(number=4, seed=0, sheets=SHEETS, questions=QUESTIONS):
    return groups(sheets, BOARD, questions, number, seed)


def shown(found):
    return [[e.question for e in group.examples] for group in found]


def test_wins_losses_and_ties_are_told_with_their_number():
    found = drawn(3)
    assert [(g.title, g.total, len(g.examples)) for g in found] == [
        ("Wins", 20, 3), ("Losses", 20, 3), ("No difference", 20, 3),
    ]  # fmt: skip
    for group, gain in zip(found, (1.0, -0.5, 0.0), strict=True):
        for one in group.examples:
            ours, theirs = one.compared
            assert (ours.candidate, theirs.candidate) == (OURS, THEIRS)
            assert ours.score - theirs.score == gain
            assert [a.candidate for a in one.others] == [OTHER]


def test_the_draw_does_not_depend_on_order_and_does_on_the_seed():
    turned = {name: dict(reversed(sheet.items())) for name, sheet in SHEETS.items()}
    assert drawn(sheets=turned, questions=QUESTIONS[::-1]) == drawn()
    assert shown(drawn(seed=1)) != shown(drawn())


def test_more_examples_add_to_those_that_were_shown():
    assert shown(drawn(9))[0][:4] == shown(drawn(4))[0]


def test_nothing_is_compared_where_nobody_was_only_prompted():
    alone = Scoreboard(("numeric",), tuple(c for c in BOARD.candidates if c.kind != "prompted"))
    assert groups(SHEETS, alone, QUESTIONS, 4, 0) == ()


@pytest.mark.parametrize(("score", "mark"), [(1.0, "pass"), (0.9, "pass"), (0.89, "part"), (0.01, "part"), (0, "fail")])
def test_a_flaw_of_form_alone_is_still_right(score, mark):
    question = asked(1)
    sheets = {name: {question.id: grade(question, name, score)} for name in GAINS}
    (tie,) = drawn(sheets=sheets, questions=[question])[2].examples
    assert tie.compared[0].mark == mark


def test_an_answer_says_how_it_was_graded_and_whether_search_failed_it():
    known, hand = asked(1), asked(2, written_by="hand")
    seen = {"passage_ids": ("p",), "gold_retrieved": False, "correctness": 0.5, "completeness": 0.2, "format": 0.0}
    sheets = {name: {q.id: grade(q, name, 0.3, **seen) for q in (known, hand)} for name in GAINS}
    sheets[THEIRS][known.id] = grade(known, THEIRS, 0.3, **seen | {"gold_retrieved": True})
    sheets[OTHER][known.id] = grade(known, OTHER, 0.3, **seen | {"passage_ids": ()})  # closed book: no search at all
    found = {e.question: e for e in drawn(sheets=sheets, questions=[known, hand])[2].examples}
    ours, theirs = found["question 1"].compared
    assert (ours.correctness, ours.completeness, ours.form) == (0.5, 0.2, 0.0)
    (other,) = found["question 1"].others
    assert (ours.missed, theirs.missed, other.missed) == (True, False, False)
    assert found["question 2"].written_by == "hand"
    assert not found["question 2"].compared[0].missed  # no one document is known to hold its answer


def test_long_texts_are_cut():
    assert shortened("x" * LONGEST) == "x" * LONGEST
    assert shortened("x" * (LONGEST + 1)) == "x" * LONGEST + " […]"


def lost(number, stage="filter", reason="ungrounded"):
    return rejection(dialogue(f"question {number}", f"answer {number}"), stage, reason, f"evidence {number}")


def test_some_rows_of_each_reason_are_shown_with_how_many_there_were():
    rows = [*[lost(i, "review", "expert_reject") for i in range(2)], *[lost(i, reason="outdated") for i in range(5)],
            *[lost(i) for i in range(300)]]  # fmt: skip
    found = rejected_rows(rows, 3, seed=0)
    assert [(r.stage, r.reason, r.total, len(r.rows)) for r in found] == [
        ("review", "expert_reject", 2, 2), ("filter", "ungrounded", 300, 3), ("filter", "outdated", 5, 3),
    ]  # fmt: skip


def test_rejected_rows_are_drawn_from_the_whole_stream_whatever_its_order():
    rows = [lost(i) for i in range(300)]
    shuffled = random.Random(1).sample(rows, len(rows))
    found = rejected_rows(iter(rows), 3, seed=0)
    assert rejected_rows(iter(shuffled), 3, seed=0) == found
    assert rejected_rows(rows, 3, seed=1) != found
    assert {row.head for row in found[0].rows} != {"question 0", "question 1", "question 2"}


def test_a_rejected_row_shows_what_a_reader_needs():
    document = Document(uri="a.md", title="Interest", text="word " * 200)
    pair, page, bare = (
        r.rows[0]
        for r in rejected_rows(
            [
                lost(7, "a"),
                rejection(document, "b", "empty", "0 words"),
                rejection(document, "c", "gone", "").derive(type(lost(0)), row=""),
            ],
            1,
            0,
        )
    )
    assert (pair.head, pair.body, pair.evidence) == ("question 7", "answer 7", "evidence 7")
    assert page.head == "Interest"
    assert 0 < len(page.body) <= 200
    assert bare.head == document.id


@pytest.mark.parametrize("stage", ["ingest", "import_dialogues"])
def test_what_a_reader_of_sources_rejected_is_counted_and_not_shown(stage):
    document = Document(uri="a.md", title="Of jane@acme.com", text="jane@acme.com")
    (shown,) = rejected_rows([rejection(document, stage, "too_short", "1 words: jane@acme.com")], 3, seed=0)
    assert (shown.stage, shown.reason, shown.total) == (stage, "too_short", 1)
    assert shown.rows[0].head == "a.md"
    assert "jane" not in f"{shown.rows}"
