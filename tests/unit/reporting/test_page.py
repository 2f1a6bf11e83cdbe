"""The page as HTML: complete, closed to the outside, and deaf to what strangers' texts would like it to do."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re

import pytest
from bs4 import BeautifulSoup

from metier.reporting.examples import Rejected, RejectedRow
from metier.reporting.page import render
from metier.reporting.tuning import Tuning
from metier.training.space import Dimension
from tests.fixtures.report_inputs import HOSTILE
from tests.unit.reporting.test_tuning import trial


def page(story):
    return BeautifulSoup(render(story), "html.parser")


def material(story, **fields):
    return dataclasses.replace(story, material=dataclasses.replace(story.material, **fields))


def words(node):
    return " ".join(node.get_text(" ").split())


def table(soup, label):
    """A table's rows as lists of words, the head first."""
    rows = soup.find(attrs={"aria-label": label}).find_all("tr")
    return [[words(cell) for cell in row.find_all(["th", "td"])] for row in rows]


@pytest.fixture(scope="module")
def shown(won):
    return page(won)


@pytest.fixture(scope="module")
def refused(lost):
    return page(lost)


def test_the_same_story_is_the_same_bytes(won):
    assert render(won) == render(won)


def test_the_verdict_stands_at_the_top(shown, refused):
    assert words(shown.h1) == "✓ ray-assistant: ready to ship"
    assert "for engineers who use Ray" in words(shown.header)
    assert "is 0.27 . Question by question it is better on 80, the same on 43, worse on 16." in words(shown.header)
    assert words(refused.h1) == "✗ A specialist model: not ready to ship"
    assert "Why not: tuned+retrieval does not surely beat base+retrieval" in words(refused.header)
    assert words(refused.title) == "A specialist model: not ready to ship"


def test_every_link_of_the_contents_leads_somewhere(shown):
    targets = [a["href"].removeprefix("#") for a in shown.nav.find_all("a")]
    assert targets == [s["id"] for s in shown.find_all("section")]


def test_the_exam_is_told_for_all_candidates_slices_and_with_intervals(won, shown):
    head, *rows, asked = table(shown, "Exam scores")
    assert head == ["candidate", "all", "numeric", "factual", "usage", "format", "unanswerable"]
    assert [row[0].removesuffix(" ◆") for row in rows] == [c.name for c in won.board.candidates]
    cell = won.board.shipped.cells["numeric"]
    ships = next(row for row in rows if "◆" in row[0])
    assert ships[:1] + ships[2:3] == ["tuned+retrieval ◆", f"{cell.mean:.2f} {cell.low:.2f} to {cell.high:.2f}"]
    assert asked == ["questions", "139", "22", "38", "30", "27", "22"]
    captions = [words(c) for c in shown.find(id="exam").find_all("figcaption")]
    assert captions == [
        "numeric 22 questions", "factual 38 questions", "usage 30 questions", "format 27 questions",
        "unanswerable 22 questions",
    ]  # fmt: skip


def test_the_funnel_gives_the_reason_of_every_row_that_was_lost(won, shown):
    rows = {row[0]: row[1:] for row in table(shown, "Rows by step")[1:]}
    assert rows["filter"] == ["2,315", "2,186", "ungrounded 96, too long 21, contradictory 8, outdated 4"]
    assert list(rows)[:2] == ["ingest", "split"]
    for step in (*won.documents, *won.pairs):
        assert all(f"{n:,}" in rows[step.step][2] for n in step.rejected.values())
    summaries = [words(s) for s in shown.find(id="data").find_all("summary")]
    assert "filter: ungrounded, 96" in summaries
    assert "synthesise: unparsable, 9" in summaries


def test_formats_are_told_slice_by_slice(shown):
    rows = {row[0]: row[1:] for row in table(shown, "w8a8 by slice")[1:]}
    assert rows["format"][:2] == ["27", "92.7%"]
    formats = {row[0]: row[1:] for row in table(shown, "Quantised formats")[1:]}
    assert formats["w4a16"][0] == "not examined"
    assert formats["w8a8"][0] == "✗ failed"
    assert formats["w8a8"][3] == "220 MB"


def test_a_slice_too_small_to_decide_says_so(won):
    whole, small = won.material.decision.formats
    by_slice = small.by_slice | {"numeric": dataclasses.replace(small.by_slice["numeric"], decides=False)}
    formats = (whole, dataclasses.replace(small, by_slice=by_slice))
    decision = dataclasses.replace(won.material.decision, formats=formats)
    rows = {row[0]: row[1] for row in table(page(material(won, decision=decision)), "w8a8 by slice")[1:]}
    assert (rows["numeric"], rows["usage"]) == ("22 too few to decide", "30")


def test_answers_stand_side_by_side_with_their_marks(won, shown):
    first = shown.find(id="examples").find("article")
    told = won.groups[0].examples[0]
    assert [words(a.strong) for a in first.find(class_="answers").find_all(class_="answer")] == [
        "tuned+retrieval", "base+retrieval",
    ]  # fmt: skip
    assert told.question in words(first)
    assert words(first.find(class_="tag pass")) == "✓ right · 1.00"
    assert "4 more candidates" in words(first.summary)
    partly = next(a for a in shown.find_all(class_="answer") if "part" in a["class"])
    assert "correct 0.55 · complete 0.55 · form 1.00" in words(partly)


def test_time_is_told_by_step_and_cost_where_an_hour_has_a_price(shown, refused):
    assert table(shown, "Time and cost by step")[0] == ["step", "wall time", "share", "machine"]
    assert "no price an hour is set" in words(shown.find(id="cost"))
    head, *rows, total = table(refused, "Time and cost by step")
    assert head == ["step", "wall time", "cost", "share", "machine"]
    train = next(row for row in rows if row[0] == "train")
    assert train[1:3] == ["8.5 min", "$0.36"]  # 512 s at $2.50 an hour
    assert next(row for row in rows if row[0] == "split")[1:3] == ["2.1 s", "<$0.01"]
    assert total[:3] == ["together", "16.8 min", "$0.70"]


def test_lineage_names_every_artifact_and_the_versions(won, shown):
    rows = table(shown, "Artifacts")[1:]
    assert [row[0] for row in rows] == [s.step for s in won.material.steps]
    assert [row[2:4] for row in rows] == [[s.key, s.content] for s in won.material.steps]
    assert next(row[4] for row in rows if row[0] == "gate") == "3 kB"
    assert "ray 2.60.0" in words(shown.find(id="lineage"))
    assert "commit 4f1c2ab" in words(shown.find(id="lineage"))


def test_what_was_not_done_has_no_section(won):
    bare = dataclasses.replace(material(won, served=(), review={}, rejected=()), retrieval=None, groups=())
    soup = page(bare)
    assert not {"retrieval", "examples", "served"} & {s["id"] for s in soup.find_all("section")}
    assert not {"#retrieval", "#examples", "#served"} & {a["href"] for a in soup.nav.find_all("a")}
    assert "Review by experts" not in words(soup)
    assert "What was rejected" not in words(soup)


def test_what_there_is_no_record_of_is_not_drawn(won):
    course = won.material.course
    nothing = {"dev_score": None, "answer_words": None, "refusal_share": None}  # train.dev_questions: 0
    unexamined = [dataclasses.replace(p, **nothing) for p in course.points]
    story = material(won, course=dataclasses.replace(course, points=unexamined))
    assert [words(c) for c in page(story).find(id="training").find_all("figcaption")] == [
        "Loss dashed line: the checkpoint that is kept"
    ]
    story = dataclasses.replace(material(won, course=dataclasses.replace(course, losses=(), points=())), gains=())
    soup = page(story)
    assert soup.find(id="training").find("svg") is None
    assert "Gain of" not in words(soup.find(id="decide"))


def test_only_our_own_style_sheet_may_act(shown):
    policy = shown.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    digest = base64.b64encode(hashlib.sha256(shown.style.string.encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"style-src 'sha256-{digest}'" in policy
    assert not shown.find_all("script")
    assert not re.search(r'\b(?:src|style|on\w+)="', str(shown.body))


def test_strangers_texts_are_texts(lost, refused):
    assert not refused.find_all(["script", "img"])
    assert refused.find(class_="answer").find_parent("article")
    assert HOSTILE in {words(said) for said in refused.find_all(class_="said")}
    row = Rejected("filter" + HOSTILE, HOSTILE, 1, (RejectedRow(HOSTILE, HOSTILE, HOSTILE),))
    base = {"title": HOSTILE, "audience": HOSTILE, "base": HOSTILE, "rejected": (row,)}
    soup = page(material(lost, **base))
    assert not soup.find_all(["script", "img"])
    assert HOSTILE in words(soup.h1)
    assert words(soup.title).startswith(HOSTILE)


def test_durations_are_said_as_people_say_them(won):
    said = {None: "unknown", 0.25: "0.2 s", 89: "89 s", 90: "1.5 min", 5399: "90.0 min", 7200: "2.0 h"}
    steps = [dataclasses.replace(won.material.steps[0], step=text, seconds=s) for s, text in said.items()]
    rows = table(page(material(won, steps=steps)), "Time and cost by step")[1:-1]
    assert [row[1] for row in rows] == [row[0] for row in rows] == list(said.values())


def test_what_merging_cost_is_told_with_each_form_that_was_examined(won, shown):
    training = words(shown.find(id="training"))
    assert "Merging costs nothing that this exam shows: 0.64 before, 0.66 merged." in training
    assert "32 questions of the dev exam" in training
    assert table(shown, "Before and after merging")[1:] == [
        ["adapter beside the base in 4 bits", "0.64 ± 0.08", "+0.02 −0.04 to +0.08", "91%"],
        ["adapter beside the base in full precision", "0.66 ± 0.08", "+0.00 +0.00 to +0.00", "100%"],
        ["merged", "0.66 ± 0.08", "–", "–"],
    ]
    assert "watch" not in training


def test_a_merge_that_costs_is_marked_and_one_that_was_not_examined_has_no_table(won):
    merging = won.material.merging
    soup = page(material(won, merging=dataclasses.replace(merging, worse=True, forms=())))
    assert "! watch Merging costs" in words(soup.find(id="training"))
    assert soup.find(attrs={"aria-label": "Before and after merging"}) is None
    assert "Merging" not in words(page(material(won, merging=None)).find(id="training"))


def test_a_search_is_told_with_its_trials_and_pictures(won):
    trials = [
        trial(score=0.9, loss=0.5, learning_rate=1e-3, rank=16),
        dataclasses.replace(trial("failed", None, None, learning_rate=1e-2, rank=8), reason="training diverged"),
    ]
    space = [Dimension("learning_rate", 1e-4, 1e-2, log=True), Dimension("rank", choices=(8, 16))]
    seconds = {one.id: 90.0 for one in trials}
    shown = page(material(won, tuning=Tuning(trials, space, {"rank": 0.7, "learning_rate": 0.3}, seconds)))
    rows = table(shown, "Trials")
    assert rows[1] == ["1", "0.001", "16", "complete", "0.90", "0.500", "2", "1.5 min"]
    assert rows[2][1:5] == ["0.01", "8", "failed training diverged", "–"]
    assert "2 trials: 1 complete, 1 failed." in words(shown.find(id="training"))
    assert {"parallel-title", "importance-title"} <= {title.get("id") for title in shown.find_all("title")}
    assert "The search for settings" not in words(page(won))
