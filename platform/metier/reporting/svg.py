"""A matplotlib figure as inline SVG that obeys the page: its colours, its font, its strict content policy.

Colours are drawn as place-holders and become CSS variables, so one picture serves light and dark. Style attributes,
which the policy forbids, become plain attributes. The same figure always gives the same bytes.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
COLOURS = {
    name: f"#0{place:x}0{place:x}0{place:x}"
    for place, name in enumerate(("ink", "muted", "grid", "prompted", "tuned", "quantised", "lost", "paper", "wash"), 1)
}
"""Place-holders by the name of the CSS variable that replaces them (`--ink`, ...)."""
SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and copied
    "svg.hashsalt": "metier",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.size": 9,
    "axes.edgecolor": COLOURS["grid"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.titlecolor": COLOURS["ink"],
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.6,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["ink"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "legend.frameon": False,
}
_NAMES = {value: f"var(--{name})" for name, value in COLOURS.items()}
_DROPPED = ("font-family", "stroke-linejoin")  # the page's own font; rounded joins come from the page's style


def inline(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an `<svg>` element; `name` keeps its ids apart from other pictures', the rest is read aloud."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ET.fromstring(buffer.getvalue())  # noqa: S314 (matplotlib wrote it a moment ago)
    _prune(root)
    _rename_ids(root, name)
    for element in root.iter():
        _unstyle(element)
    root.attrib = {"viewBox": root.attrib["viewBox"], "class": "plot", "role": "img",
                   "aria-labelledby": f"{name}-title {name}-description"}  # fmt: skip
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{'title' if tag == 'title' else 'description'}"})
        element.text = text
        root.insert(place, element)
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)


def _prune(root: ET.Element) -> None:
    """Drops metadata and the style sheet, whose rules would reach the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)


def _rename_ids(root: ET.Element, name: str) -> None:
    """Ids that something refers to are made the picture's own; all others go."""
    text = ET.tostring(root, encoding="unicode")
    used = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
    for element in root.iter():
        if element.get("id") in used:
            element.set("id", f"{name}-{element.get('id')}")
        else:
            element.attrib.pop("id", None)
        for key, value in element.attrib.items():
            if key == f"{{{XLINK}}}href" or "url(#" in value:
                element.set(key, re.sub(r"(^|url\()#", rf"\1#{name}-", value))


def _unstyle(element: ET.Element) -> None:
    """`style="fill: #010101"` becomes `fill="var(--ink)"`."""
    for part in element.attrib.pop("style", "").split(";"):
        key, _, value = part.partition(":")
        if value and key.strip() not in _DROPPED:
            element.set(key.strip(), _NAMES.get(value.strip(), value.strip()))
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
