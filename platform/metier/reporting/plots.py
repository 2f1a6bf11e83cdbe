"""The report's pictures, each narrow enough to be read on a phone as it is. Each gives an inline `<svg>` element.

Shape and words always say what colour says: prompted models are circles, tuned ones squares, quantised ones diamonds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from metier.evaluation.gate import Comparison, FormatVerdict
from metier.reporting.exam import WHOLE, Cell, Kind, Scoreboard
from metier.reporting.gather import Course, StepFacts
from metier.reporting.svg import COLOURS, SETTINGS, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, ROW, FRAME = 3.8, 0.27, 0.55  # inches: of a picture, of a row in it, of title and axis
MARKERS: dict[Kind, str] = {"prompted": "o", "tuned": "s", "quantised": "D"}


def drawn(name: str, title: str, description: str, height: float, draw: Callable[[Axes], None]) -> str:
    """A picture with one set of axes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        return inline(figure, name, title, description)


def labelled_rows(axes: Axes, labels: Sequence[str], bold: int = -1) -> None:
    """One labelled row a label, from top to bottom; the row `bold` stands out."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    for place, label in enumerate(axes.get_yticklabels()):
        label.set_fontweight("bold" if place == bold else "normal")
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def _dot(axes: Axes, place: int, cell: tuple[float, float, float], colour: str, marker: str) -> None:
    mean, low, high = cell
    axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round", alpha=0.55)
    axes.plot([mean], [place], marker=marker, markersize=6.5, color=colour, markeredgecolor=COLOURS["paper"])


def _signed(number: float) -> str:
    """With its sign, and a minus as wide as the plus."""
    return f"{number:+.2f}".replace("-", "−")


def value_at_edge(axes: Axes, place: int, text: str, bold: bool) -> None:
    """A number at the right edge of a row."""
    axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", ha="left",
              fontweight="bold" if bold else "normal")  # fmt: skip


def scores_plot(board: Scoreboard, slice_: str) -> str:
    """All candidates in one slice (or `all`): mean scores with their 95 % intervals."""
    seated = [(c, c.cells[slice_]) for c in board.candidates if slice_ in c.cells]
    questions = max(cell.questions for _, cell in seated)

    def draw(axes: Axes) -> None:
        labelled_rows(axes, [c.name for c, _ in seated], next((i for i, (c, _) in enumerate(seated) if c.ships), -1))
        for place, (candidate, cell) in enumerate(seated):
            interval = (cell.mean, cell.low, cell.high)
            _dot(axes, place, interval, COLOURS[candidate.kind], MARKERS[candidate.kind])
            value_at_edge(axes, place, f"{cell.mean:.2f}", candidate.ships)
        axes.set_xlim(-0.04, 1.04)  # a marker at 0 keeps clear of the names
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])

    name = "all questions" if slice_ == WHOLE else slice_
    spoken = "; ".join(f"{c.name} {cell.mean:.2f} ({cell.low:.2f} to {cell.high:.2f})" for c, cell in seated)
    title = f"Exam scores, {name}, {questions} questions"
    return drawn(f"scores-{slice_}", title, spoken, FRAME - 0.2 + ROW * len(seated), draw)


def gains_plot(comparisons: Sequence[Comparison]) -> str:
    """The gain over each baseline with its 95 % interval, beside the line of no gain."""

    def draw(axes: Axes) -> None:
        labelled_rows(axes, [c.baseline for c in comparisons])
        for place, one in enumerate(comparisons):
            sure = one.low > 0
            interval = (one.difference, one.low, one.high)
            _dot(axes, place, interval, COLOURS["tuned" if sure else "lost"], "s" if sure else "X")
            value_at_edge(axes, place, _signed(one.difference), False)
        axes.axvline(0, color=COLOURS["ink"], linewidth=1)
        low = min(-0.1, *(c.low - 0.05 for c in comparisons))
        axes.set_xlim(low, max(0.1, *(c.high + 0.05 for c in comparisons)))
        axes.set_xlabel("gain in score" + ("" if all(c.low > 0 for c in comparisons) else "; ×: may be none"))

    spoken = "; ".join(f"over {c.baseline} {c.difference:+.2f} ({c.low:+.2f} to {c.high:+.2f})" for c in comparisons)
    title = f"Gain of {comparisons[0].candidate} over each baseline"
    return drawn("gains", title, spoken, FRAME + ROW * len(comparisons), draw)


def kept_plot(verdict: FormatVerdict, keep_ratio: float) -> str:
    """Which share of the unquantised score a format kept, overall and by slice, beside the share that it must keep."""
    ratios = {"overall": verdict.overall_ratio, **verdict.slices}

    def draw(axes: Axes) -> None:
        labelled_rows(axes, list(ratios), 0)
        for place, ratio in enumerate(ratios.values()):
            kept = ratio >= keep_ratio
            colour = COLOURS["quantised" if kept else "lost"]
            axes.plot([ratio, 1], [place, place], color=colour, linewidth=1.6, alpha=0.45)
            axes.plot([ratio], [place], marker="D" if kept else "X", markersize=7, color=colour)
            value_at_edge(axes, place, f"{ratio:.1%}", place == 0)
        axes.axvline(keep_ratio, color=COLOURS["ink"], linewidth=1, linestyle=(0, (4, 2)))
        low, high = min(keep_ratio, *ratios.values()), max(1.0, *ratios.values())
        margin = 0.08 * (high - low) + 0.01
        axes.set_xlim(low - margin, high + margin)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")

    spoken = "; ".join(f"{name} {ratio:.1%}" for name, ratio in ratios.items())
    return drawn(f"kept-{verdict.format}", f"What {verdict.format} kept", spoken, FRAME - 0.2 + ROW * len(ratios), draw)


def funnel_plot(steps: Sequence[StepFacts]) -> str:
    """Rows kept and rejected by each step that training pairs pass."""
    longest = max([s.kept + sum(s.rejected.values()) for s in steps] + [1])
    beside = 6 * max(len(f"{s.kept:,}") for s in steps)  # points: right of the widest number kept

    def draw(axes: Axes) -> None:
        labelled_rows(axes, [s.step for s in steps])
        for place, step in enumerate(steps):
            lost = sum(step.rejected.values())
            axes.barh(place, step.kept, height=0.62, color=COLOURS["tuned"], linewidth=0)
            axes.barh(place, lost, left=step.kept, height=0.62, facecolor="none", edgecolor=COLOURS["lost"],
                      hatch="//////", linewidth=0.8)  # fmt: skip
            value_at_edge(axes, place, f"{step.kept:,}", False)
            if lost:
                axes.annotate(f"−{lost:,}", (1.02, place), xycoords=axes.get_yaxis_transform(), va="center",
                              xytext=(beside, 0), textcoords="offset points", color=COLOURS["lost"])  # fmt: skip
        axes.set_xlim(0, longest * 1.01)
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)

    spoken = "; ".join(f"{s.step} kept {s.kept:,}, rejected {sum(s.rejected.values()):,}" for s in steps)
    return drawn("funnel", "Training pairs kept and rejected by each step", spoken, 0.15 + 0.31 * len(steps), draw)


def _best_line(axes: Axes, course: Course, height: Literal["top", "bottom"]) -> None:
    """A line at the checkpoint that is kept, named on the side where there is more room."""
    axes.axvline(course.best_step, color=COLOURS["ink"], linewidth=1, linestyle=(0, (4, 2)), zorder=1.5)
    late, up = 2 * course.best_step > max(p.step for p in course.points), height == "top"
    axes.annotate("kept", (course.best_step, up), xycoords=("data", "axes fraction"),
                  xytext=(-4 if late else 4, -4 if up else 4), textcoords="offset points",
                  ha="right" if late else "left", va=height, fontweight="bold")  # fmt: skip


def _curve(axes: Axes, points: Sequence[tuple[float, float | None]], label: str, **look: Any) -> None:
    there = [(x, y) for x, y in points if y is not None]
    if there:
        axes.plot([x for x, _ in there], [y for _, y in there], label=label, **look)


def loss_plot(course: Course) -> str:
    """Training loss of every step, and training and validation loss at the checkpoints."""

    def draw(axes: Axes) -> None:
        steps = [(row[0], row[1]) for row in course.losses]
        _curve(axes, steps, "training, each step", color=COLOURS["prompted"], linewidth=0.9, alpha=0.6)
        train = [(p.step, p.train_loss) for p in course.points]
        _curve(axes, train, "training, checkpoints", color=COLOURS["tuned"], marker="s", markersize=5)
        held_out = [(p.step, p.val_loss) for p in course.points]
        _curve(
            axes,
            held_out,
            "validation",
            color=COLOURS["quantised"],
            marker="D",
            markersize=5,
            linestyle="--",
        )
        _best_line(axes, course, "top")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("step")
        axes.grid(axis="y")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8.5, borderaxespad=0.2)  # off the curves

    spoken = "; ".join(
        f"step {p.step}: training {p.train_loss:.3f}"
        + (f", validation {p.val_loss:.3f}" if p.val_loss is not None else "")
        for p in course.points
    )
    return drawn("loss", "Loss", spoken, 2.6, draw)


def dev_plot(course: Course) -> str:
    """The score of the dev exam at each checkpoint."""
    scored = [(p.step, p.dev_score) for p in course.points if p.dev_score is not None]

    def draw(axes: Axes) -> None:
        _curve(axes, scored, "dev exam", color=COLOURS["tuned"], marker="s", markersize=6)
        for step, score in scored:
            axes.annotate(f"{score:.2f}", (step, score), xytext=(0, 7), textcoords="offset points", ha="center",
                          bbox={"facecolor": COLOURS["paper"], "edgecolor": "none", "pad": 0.5})  # fmt: skip
        _best_line(axes, course, "bottom")
        axes.set_xlim(0, max(p.step for p in course.points) * 1.06)
        axes.set_ylim(0, 1.05)
        axes.set_xlabel("step")
        axes.grid(axis="y")

    spoken = "; ".join(f"step {step}: {score:.2f}" for step, score in scored)
    return drawn("dev", "Dev exam at each checkpoint", spoken, 2.6, draw)


def words_plot(course: Course) -> str:
    """How long answers are in the dev exam at each checkpoint, beside the references."""
    said = [(p.step, p.answer_words) for p in course.points if p.answer_words is not None]
    most = max([course.reference_words or 0.0, *(words for _, words in said)])
    title = "Words an answer at each checkpoint"
    return _beside(
        course, "words", title, said, (course.reference_words, "references"), f"{{:.{0 if most >= 10 else 1}f}}"
    )


def refusals_plot(course: Course) -> str:
    """The share of dev questions that are refused at each checkpoint, beside the share that has no answer."""
    said = [(p.step, p.refusal_share) for p in course.points if p.refusal_share is not None]
    wanted = (course.unanswerable_share, "no answer")
    return _beside(course, "refusals", "Share of dev questions refused at each checkpoint", said, wanted, "{:.0%}")


def _beside(
    course: Course,
    name: str,
    title: str,
    said: Sequence[tuple[float, float]],
    wanted: tuple[float | None, str],
    form: str,
) -> str:
    """A measure at each checkpoint, and a dotted line where it should be."""
    level, label = wanted
    first, last = min(step for step, _ in said), max(p.step for p in course.points)
    most = max([level or 0.0, *(value for _, value in said)])

    def draw(axes: Axes) -> None:
        _curve(axes, said, title, color=COLOURS["tuned"], marker="s", markersize=6)
        for step, value in said:
            axes.annotate(form.format(value), (step, value), xytext=(0, 7), textcoords="offset points", ha="center",
                          bbox={"facecolor": COLOURS["paper"], "edgecolor": "none", "pad": 0.5})  # fmt: skip
        if level is not None:
            axes.plot([first, last], [level, level], color=COLOURS["muted"], linestyle=":", linewidth=1.4)
            axes.annotate(f"{label} {form.format(level)}", (last, level), xytext=(0, -4), textcoords="offset points",
                          ha="right", va="top", color=COLOURS["muted"])  # fmt: skip
        axes.set_xlim(0, last * 1.06)
        axes.set_ylim(-0.18 * (most or 1), 1.25 * (most or 1))
        axes.set_yticks([])
        axes.set_xlabel("step")

    spoken = "; ".join(f"step {step}: {form.format(value)}" for step, value in said)
    spoken += f"; {label}: {form.format(level)}" if level is not None else ""
    return drawn(name, title, spoken, 2.0, draw)


def found_plot(found: Mapping[str, Cell]) -> str:
    """The share of questions whose document was retrieved, overall and by slice."""

    def draw(axes: Axes) -> None:
        labelled_rows(axes, ["all" if s == WHOLE else s for s in found], 0)
        for place, cell in enumerate(found.values()):
            _dot(axes, place, (cell.mean, cell.low, cell.high), COLOURS["tuned"], "s")
            value_at_edge(axes, place, f"{cell.mean:.0%}", place == 0)
        axes.set_xlim(-0.04, 1.04)
        axes.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])

    spoken = "; ".join(f"{s} {c.mean:.0%} of {c.questions}" for s, c in found.items())
    title = "Questions whose document was retrieved"
    return drawn("found", title, spoken, FRAME - 0.2 + ROW * len(found), draw)
