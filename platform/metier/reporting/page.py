"""Lays a `Story` out as one HTML file that loads nothing: text escaped, pictures inline, no script, a strict policy.

Documents, questions and answers are strangers' text. The template escapes all of it; only our own pictures and style sheet
go in as they are, and the policy lets the browser apply that style sheet alone, by its digest.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

from metier.reporting import plots, tuning, tuning_plots
from metier.reporting.caveats import caveats
from metier.reporting.exam import WHOLE, Cell
from metier.reporting.gather import Story

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE, STYLE = "report.html.j2", "report.css"


def render(story: Story) -> str:
    """The page. The same story gives the same bytes."""
    style = _text(STYLE)
    fingerprint = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{fingerprint}'; base-uri 'none'; form-action 'none'"
    return _environment().from_string(_text(TEMPLATE)).render(
        story=story, m=story.material, board=story.board, caveats=caveats(story), pictures=_pictures(story),
        style=style, policy=policy, WHOLE=WHOLE,
    )  # fmt: skip


def _text(name: str) -> str:
    return (resources.files("metier.reporting") / name).read_text(encoding="utf-8")


def _pictures(story: Story) -> dict[str, Any]:
    """Pictures by name; empty text for what there is nothing to draw of."""
    material, course = story.material, story.material.course
    examined = [f for f in material.decision.formats if f.executable]
    return {
        "scores": {name: plots.scores_plot(story.board, name) for name in story.board.columns},
        "kept": {f.format: plots.kept_plot(f, material.keep_ratio) for f in examined},
        "gains": plots.gains_plot(story.gains) if story.gains else "",
        "funnel": plots.funnel_plot(story.pairs) if story.pairs else "",
        "loss": plots.loss_plot(course) if course.losses else "",
        "dev": plots.dev_plot(course) if any(p.dev_score is not None for p in course.points) else "",
        "words": plots.words_plot(course) if any(p.answer_words is not None for p in course.points) else "",
        "refusals": plots.refusals_plot(course) if any(p.refusal_share is not None for p in course.points) else "",
        "parallel": tuning_plots.parallel_plot(material.tuning) if material.tuning else "",
        "importance": tuning_plots.importance_plot(material.tuning)
        if material.tuning and material.tuning.importances
        else "",
        "found": plots.found_plot(story.retrieval.found) if story.retrieval else "",
    }


def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined

    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        "number": lambda n: f"{n:,}",
        "signed": lambda x: f"{x:+.2f}".replace("-", "−"),
        "score": lambda x: f"{x:.2f}",
        "share": lambda x: f"{x:.1%}",
        "percent": lambda x: f"{x:.0%}",
        "settings": tuning.settings_of,
        "setting": tuning.setting_text,
        "words": lambda code: code.replace("_", " "),
        "interval": _interval,
        "size": _size,
        "duration": _duration,
        "sum_values": lambda counts: sum(counts.values()),
        "dollars": lambda x: "<$0.01" if 0 < x < 0.005 else f"${x:,.2f}",
    }
    return made


def _interval(cell: Cell) -> str:
    return f"{cell.low:.2f} to {cell.high:.2f}"


def _size(count: int) -> str:
    """Bytes in the unit that leaves few digits."""
    if count < 1e3:
        return f"{count} B"
    return f"{count / 1e6:,.0f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"


def _duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
