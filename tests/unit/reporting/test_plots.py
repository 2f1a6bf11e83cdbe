"""What the pictures show, read back from their SVG: words, shapes, colours and places."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest

from metier.evaluation.gate import Comparison, FormatVerdict
from metier.reporting import plots
from metier.reporting.exam import WHOLE, Cell
from metier.reporting.svg import SVG, XLINK

DATA = {f"var(--{name})" for name in ("prompted", "tuned", "quantised", "lost")}


def texts(svg):
    return [text.text for text in ET.fromstring(svg).iter(f"{{{SVG}}}text")]


def bold(svg):
    found = ET.fromstring(svg).iter(f"{{{SVG}}}text")
    return [t.text for t in found if {"700", "bold"} & {*t.get("font", "").split(), t.get("font-weight")}]


def description(svg):
    return ET.fromstring(svg).find(f"{{{SVG}}}desc").text


def markers(svg):
    """(colour, shape, x) of each data point, in the order in which they were drawn."""
    root = ET.fromstring(svg)
    shapes = {"#" + e.get("id"): e.get("d") for e in root.iter(f"{{{SVG}}}path") if e.get("id")}
    uses = [e for e in root.iter(f"{{{SVG}}}use") if e.get("fill") in DATA]
    return [(u.get("fill").strip("var(-)"), shapes[u.get(f"{{{XLINK}}}href")], float(u.get("x"))) for u in uses]


def widths(svg, fill):
    """Widths of the bars of one colour."""
    bars = [e for e in ET.fromstring(svg).iter(f"{{{SVG}}}path") if e.get("fill") == f"var(--{fill})"]
    places = [[float(x) for x in re.findall(r"[ML] (\S+) ", bar.get("d"))] for bar in bars]
    return [max(xs) - min(xs) for xs in places]


def dashed_line(svg):
    line = next(e for e in ET.fromstring(svg).iter(f"{{{SVG}}}path") if e.get("stroke") == "var(--ink)")
    return float(re.match(r"M (\S+) ", line.get("d"))[1])


@pytest.mark.parametrize("slice_", [WHOLE, "numeric", "unanswerable"])
def test_every_candidate_stands_at_its_score(won, slice_):
    svg = plots.scores_plot(won.board, slice_)
    means = [c.cells[slice_].mean for c in won.board.candidates]
    places = [x for _, _, x in markers(svg)]
    scale = (max(places) - min(places)) / (max(means) - min(means))
    assert places == pytest.approx([min(places) + (m - min(means)) * scale for m in means], abs=0.01)
    assert {c.name for c in won.board.candidates} | {f"{m:.2f}" for m in means} <= set(texts(svg))


def test_kinds_differ_in_shape_and_colour_and_what_ships_is_bold(won):
    svg = plots.scores_plot(won.board, WHOLE)
    looks = [(colour, shape) for colour, shape, _ in markers(svg)]
    assert [colour for colour, _ in looks] == [c.kind for c in won.board.candidates]
    assert len(set(looks)) == len({shape for _, shape in looks}) == 3
    assert bold(svg) == ["tuned+retrieval", f"{won.board.shipped.whole.mean:.2f}"]


def test_scores_are_read_aloud_with_their_intervals(won):
    cell = won.board.shipped.cells["usage"]
    said = f"tuned+retrieval {cell.mean:.2f} ({cell.low:.2f} to {cell.high:.2f})"
    assert said in description(plots.scores_plot(won.board, "usage"))


def test_a_gain_that_may_be_none_looks_otherwise():
    svg = plots.gains_plot([Comparison("t", "strong", -0.02, -0.1, 0.06), Comparison("t", "weak", 0.5, 0.4, 0.6)])
    (unsure, cross, _), (sure, square, _) = markers(svg)
    assert (unsure, sure) == ("lost", "tuned")
    assert cross != square
    assert {"−0.02", "+0.50", "gain in score; ×: may be none"} <= set(texts(svg))


def test_a_slice_that_kept_too_little_stands_out():
    verdict = FormatVerdict("w8a8", "q", True, False, "", overall_ratio=0.96, slices={"numeric": 0.8, "usage": 1.3})
    svg = plots.kept_plot(verdict, 0.95)
    assert [colour for colour, _, _ in markers(svg)] == ["quantised", "lost", "quantised"]
    numeric, whole, usage = sorted(x for _, _, x in markers(svg))
    assert numeric < dashed_line(svg) < whole < usage
    assert {"96.0%", "80.0%", "130.0%"} <= set(texts(svg))


def test_bars_of_the_funnel_are_as_long_as_their_counts(won):
    svg = plots.funnel_plot(won.pairs)
    kept = [s.kept for s in won.pairs]
    drawn = widths(svg, "tuned")
    assert drawn == pytest.approx([drawn[0] * k / kept[0] for k in kept], abs=0.02)
    assert {"deduplicate", "2,315", "−275"} <= set(texts(svg))
    assert "filter kept 2,186, rejected 129" in description(svg)


def test_the_loss_plot_marks_the_checkpoint_that_is_kept(won):
    svg = plots.loss_plot(won.material.course)
    third = [x for colour, _, x in markers(svg) if colour == "tuned"][2]
    assert dashed_line(svg) == pytest.approx(third, abs=0.01)
    assert {"kept", "training, each step", "training, checkpoints", "validation"} <= set(texts(svg))
    assert "step 120: training" in description(svg)
    assert "validation 0.880" in description(svg)


def test_without_a_validation_loss_none_is_drawn(won):
    points = [dataclasses.replace(p, val_loss=None) for p in won.material.course.points]
    svg = plots.loss_plot(dataclasses.replace(won.material.course, points=points))
    assert "validation" not in texts(svg)
    assert "quantised" not in {colour for colour, _, _ in markers(svg)}


@pytest.mark.parametrize(("best", "anchor"), [(40, "start"), (160, "end")])
def test_the_word_at_the_kept_checkpoint_stays_inside_the_picture(won, best, anchor):
    svg = plots.dev_plot(dataclasses.replace(won.material.course, best_step=best))
    word = next(t for t in ET.fromstring(svg).iter(f"{{{SVG}}}text") if t.text == "kept")
    assert word.get("text-anchor", "start") == anchor


def test_dev_scores_stand_beside_their_points(won):
    svg = plots.dev_plot(won.material.course)
    assert {"0.41", "0.58", "0.66", "0.64"} <= set(texts(svg))
    assert description(svg).startswith("step 40: 0.41; step 80: 0.58")


def test_answers_and_refusals_stand_beside_what_they_should_be(won):
    course = won.material.course
    words, refusals = plots.words_plot(course), plots.refusals_plot(course)
    assert description(words) == "step 40: 12; step 80: 12; step 120: 12; step 160: 12; references: 12"
    assert description(refusals).endswith("step 160: 20%; no answer: 18%")
    assert {"references 12", "12"} <= set(texts(words))
    alone = plots.words_plot(dataclasses.replace(course, reference_words=None))
    assert "references" not in description(alone)


def test_what_retrieval_found_is_a_share(won):
    svg = plots.found_plot({WHOLE: Cell(0.83, 0.75, 0.9, 93), "numeric": Cell(0.5, 0.2, 0.8, 10)})
    assert {"all", "numeric", "83%"} <= set(texts(svg))
    assert description(svg) == "all 83% of 93; numeric 50% of 10"
