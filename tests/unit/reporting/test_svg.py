"""A figure as inline SVG: nothing that the page's policy forbids, no id of another picture, text that stays text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from matplotlib import rc_context
from matplotlib.figure import Figure

from metier.reporting.svg import COLOURS, SETTINGS, SVG, inline
from tests.fixtures.report_inputs import HOSTILE


def picture(name="one", title="A title", description="A description", label="label"):
    """Markers, a hatch and a clipped line: all that makes matplotlib write ids and styles."""
    with rc_context(SETTINGS):
        figure = Figure(figsize=(3, 2))
        axes = figure.add_subplot()
        axes.plot([0, 1, 9], [0, 1, 0], marker="s", color=COLOURS["tuned"])
        axes.barh(0, 1, facecolor="none", edgecolor=COLOURS["lost"], hatch="///")
        axes.set_xlabel(label)
        return inline(figure, name, title, description)


def ids(svg):
    return set(re.findall(r'\bid="([^"]+)"', svg))


def test_the_same_figure_is_the_same_bytes():
    assert picture() == picture()


def test_nothing_is_left_that_the_policy_of_the_page_forbids():
    svg = picture()
    tags = {element.tag.removeprefix(f"{{{SVG}}}") for element in ET.fromstring(svg).iter()}
    assert not tags & {"style", "metadata", "script"}
    assert "style=" not in svg


def test_colours_are_those_of_the_page():
    svg = picture()
    assert not [name for name, place in COLOURS.items() if place in svg]
    assert 'stroke="var(--tuned)"' in svg
    assert "var(--lost)" in svg


def test_two_pictures_on_one_page_keep_to_their_own_ids():
    one, two = picture("one"), picture("two")
    assert not ids(one) & ids(two)
    referred = set(re.findall(r'href="#([^"]+)"', one)) | set(re.findall(r"url\(#([^)]+)\)", one))
    assert referred
    assert referred <= ids(one)


def test_it_is_read_aloud_by_title_and_description():
    root = ET.fromstring(picture(title="Scores", description="base 0.2; tuned 0.7"))
    by_id = {e.get("id"): e.text for e in root.iter() if e.get("id")}
    assert [by_id[name] for name in root.get("aria-labelledby").split()] == ["Scores", "base 0.2; tuned 0.7"]
    assert root.get("role") == "img"


def test_text_stays_text():
    root = ET.fromstring(picture(title=HOSTILE, description=HOSTILE, label="$5 to $9 & " + HOSTILE))
    assert root.find(f"{{{SVG}}}title").text == HOSTILE
    assert "$5 to $9 & " + HOSTILE in [text.text for text in root.iter(f"{{{SVG}}}text")]
    assert not {f"{{{SVG}}}script", f"{{{SVG}}}img"} & {e.tag for e in root.iter()}
