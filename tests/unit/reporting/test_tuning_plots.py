"""The pictures of a search, read back from their SVG."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest

from metier.reporting.svg import SVG
from metier.reporting.tuning import Tuning
from metier.reporting.tuning_plots import importance_plot, parallel_plot
from metier.training.space import Dimension
from tests.unit.reporting.test_tuning import trial

SPACE = [Dimension("learning_rate", 1e-4, 1e-2, log=True), Dimension("method.rank", choices=(8, 16, 32))]
TRIALS = [
    trial(score=0.9, loss=0.5, learning_rate=1e-3, **{"method.rank": 32}),
    trial(score=0.4, loss=0.9, learning_rate=1e-2, **{"method.rank": 16}),
    trial("pruned", score=0.1, loss=2.0, learning_rate=1e-4, **{"method.rank": 8}),
    trial("failed", None, None, learning_rate=1e-2, **{"method.rank": 8}),
]
TUNING = Tuning(TRIALS, SPACE, {"learning_rate": 0.75, "method.rank": 0.25}, {})


def lines(svg):
    """(dashed, thick, xs from 0 to 1) of each trial's line."""
    paths = [e for e in ET.fromstring(svg).iter(f"{{{SVG}}}path") if (e.get("d") or "").count("L ") == len(SPACE)]
    drawn = [e for e in paths if e.get("stroke", "").startswith("var(") and e.get("fill") == "none"]
    found = [(bool(e.get("stroke-dasharray")), float(e.get("stroke-width", 1)) > 2,
              [float(x) for x in re.findall(r"[ML] (\S+) ", e.get("d"))]) for e in drawn]  # fmt: skip
    low, high = min(min(xs) for *_, xs in found), max(max(xs) for *_, xs in found)
    return [(dashed, thick, [(x - low) / (high - low) for x in xs]) for dashed, thick, xs in found]


def test_each_trial_is_a_line_through_its_settings_to_what_it_came_to():
    assert lines(parallel_plot(TUNING)) == [
        (True, False, pytest.approx([0, 0, 0], abs=0.01)),
        (False, False, pytest.approx([1, 0.5, 0.375], abs=0.01)),
        (False, True, pytest.approx([0.5, 1, 1], abs=0.01)),
    ]


def test_where_the_loss_is_the_aim_the_lowest_ends_farthest_right():
    unscored = [dataclasses.replace(one, score=None) for one in TRIALS]
    assert [xs[-1] for *_, xs in lines(parallel_plot(dataclasses.replace(TUNING, trials=unscored)))] == pytest.approx(
        [0, 11 / 15, 1], abs=0.01
    )


def test_words_say_what_the_lines_say():
    svg = parallel_plot(TUNING)
    words = {text.text for text in ET.fromstring(svg).iter(f"{{{SVG}}}text")}
    assert {"learning_rate", "method.rank", "dev exam", "0.0001", "0.01", "8", "16", "32", "0.1", "0.9"} <= words
    spoken = ET.fromstring(svg).find(f"{{{SVG}}}desc").text
    assert "learning_rate 0.0001, method.rank 8: dev exam 0.1 (pruned)" in spoken


def test_one_trial_and_equal_scores_are_drawn_too():
    assert lines(parallel_plot(dataclasses.replace(TUNING, trials=TRIALS[:1])))
    assert lines(parallel_plot(dataclasses.replace(TUNING, trials=[TRIALS[0], TRIALS[0]])))


def test_importances_are_bars_with_their_shares():
    root = ET.fromstring(importance_plot(TUNING))
    assert {"learning_rate", "75%", "method.rank", "25%"} <= {text.text for text in root.iter(f"{{{SVG}}}text")}
    bars = [e for e in root.iter(f"{{{SVG}}}path") if e.get("fill") == "var(--tuned)"]
    widths = [max(xs) - min(xs) for xs in ([float(x) for x in re.findall(r"[ML] (\S+) ", e.get("d"))] for e in bars)]
    assert widths[0] == pytest.approx(3 * widths[1], rel=0.01)
