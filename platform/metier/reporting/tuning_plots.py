"""Pictures of a search: what mattered, and every trial as a line over parallel axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from metier.records import Trial
from metier.reporting.plots import FRAME, ROW, drawn, labelled_rows, value_at_edge
from metier.reporting.svg import COLOURS
from metier.reporting.tuning import LOSS, SHOWN, Tuning, setting_text, settings_of
from metier.training.space import Dimension

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXIS = 0.5  # inches between two axes


def importance_plot(tuning: Tuning) -> str:
    """How much of the difference between trials each setting explains."""

    def draw(axes: Axes) -> None:
        labelled_rows(axes, list(tuning.importances))
        for place, share in enumerate(tuning.importances.values()):
            axes.barh(place, share, height=0.62, color=COLOURS["tuned"], linewidth=0)
            value_at_edge(axes, place, f"{share:.0%}", False)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])

    spoken = "; ".join(f"{name} {share:.0%}" for name, share in tuning.importances.items())
    return drawn("importance", "What mattered", spoken, FRAME - 0.2 + ROW * len(tuning.importances), draw)


def parallel_plot(tuning: Tuning) -> str:
    """Every trial as a line over parallel axes, one for each setting and the last for what it came to.

    The axes lie, one below the other, so that the picture is as narrow as a phone however many there are.
    """
    racing = [one for one in tuning.trials if _reached(one, tuning.aim) is not None]
    aimed = [_reached(one, tuning.aim) or 0.0 for one in racing]
    best_last = Dimension(tuning.aim, min(aimed), max(aimed))
    scales = [*tuning.space, best_last]

    def draw(axes: Axes) -> None:
        for place, scale in enumerate(scales):
            axes.axhline(place, color=COLOURS["grid"], linewidth=1, zorder=1)
            for x, text in _ticks(scale, tuning.aim):
                side = "left" if x == 0 else "right" if x == 1 else "center"
                axes.text(x, place + 0.1, text, va="top", ha=side, fontsize=8, color=COLOURS["muted"], zorder=5,
                          bbox={"facecolor": COLOURS["paper"], "edgecolor": "none", "pad": 0.5})  # fmt: skip
        for number, (trial, reached) in reversed(list(enumerate(zip(racing, aimed, strict=True)))):
            settings = settings_of(trial)
            xs = [_place(one, settings[one.name]) for one in tuning.space]
            last = _place(best_last, reached)
            xs.append(1 - last if tuning.aim == LOSS else last)  # the better, the farther to the right
            won, pruned = number == 0, trial.state == "pruned"
            axes.plot(
                xs,
                range(len(xs)),
                color=COLOURS["muted" if pruned else "tuned"],
                linestyle="--" if pruned else "-",
                linewidth=2.6 if won else 1,
                marker="s" if won else "",
                alpha=1 if won else 0.6,
                zorder=3 if won else 2,
            )
        axes.set_yticks(range(len(scales)), [one.name for one in scales])
        axes.get_yticklabels()[-1].set_fontweight("bold")
        axes.set_ylim(len(scales) - 0.4, -0.3)
        axes.set_xlim(-0.04, 1.04)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)

    spoken = "; ".join(
        ", ".join(f"{name} {setting_text(value)}" for name, value in settings_of(trial).items())
        + f": {tuning.aim} {reached:.3g} ({trial.state})"
        for trial, reached in list(zip(racing, aimed, strict=True))[:SHOWN]
    )
    return drawn("parallel", "Trials", spoken, 0.2 + AXIS * len(scales), draw)


def _reached(trial: Trial, aim: str) -> float | None:
    if trial.state == "failed":
        return None
    return trial.val_loss if aim == LOSS else trial.score


def _place(scale: Dimension, value: Any) -> float:
    """Where a value lies on its axis, from 0 to 1."""
    if scale.choices:
        return scale.choices.index(value) / (len(scale.choices) - 1)
    if scale.low == scale.high:
        return 0.5
    low, high, at = (math.log(x) if scale.log else x for x in (scale.low, scale.high, value))
    return (at - low) / (high - low)


def _ticks(scale: Dimension, aim: str) -> list[tuple[float, str]]:
    """Places and words below an axis."""
    if scale.choices:
        return [(_place(scale, one), setting_text(one)) for one in scale.choices]
    if scale.low == scale.high:
        return [(0.5, setting_text(float(scale.low)))]
    ends = [setting_text(int(x) if scale.whole else float(x)) for x in (scale.low, scale.high)]
    return list(zip((0, 1), reversed(ends) if scale.name == aim == LOSS else ends, strict=True))
