"""The exam and the funnel as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from rich.table import Table
from rich.text import Text

from metier.evaluation.gate import by_candidate
from metier.records import Grade
from metier.reporting.exam import WHOLE, Candidate, decision_from, scoreboard


class GradeTable(Protocol):
    """An exam's artifact, as far as it matters here."""

    def records(self, kind: type[Grade], table: str = "kept") -> Iterator[Grade]:
        """Its grades."""
        ...


class Counted(Protocol):
    """Rows read, kept, and rejected by reason."""

    @property
    def read(self) -> int:
        """Rows that went in."""
        ...

    @property
    def kept(self) -> int:
        """Rows that came out."""
        ...

    @property
    def rejected(self) -> Mapping[str, int]:
        """Rows rejected, by reason."""
        ...


def exam_table(exams: Iterable[GradeTable], gate: Mapping[str, Any]) -> Table:
    """All candidates by slice: mean scores, with the 95 % interval over all questions. `gate` is what gate.json holds."""
    decision = decision_from(gate)
    board = scoreboard(by_candidate([g for exam in exams for g in exam.records(Grade)]), decision)
    verdict = "passed" if decision.passed else "REFUSED"
    caption = f"gate {verdict}: {decision.why}\n" + (f"ships {_shipping(decision.ships)}" if decision.passed else "")
    table = Table(title="Final exam (0 to 1, with 95 % intervals)", title_justify="left", caption=Text(caption.strip()),
                  caption_justify="left", header_style="bold", box=None, padding=(0, 1, 0, 0),
                  pad_edge=False)  # fmt: skip
    table.add_column("candidate", no_wrap=True)
    table.add_column("all (interval)", justify="right", no_wrap=True)
    for name in board.slices:
        table.add_column(name, justify="right", min_width=4, overflow="fold")
    counts = [max(c.cells[s].questions for c in board.candidates if s in c.cells) for s in board.columns]
    for one in board.candidates:
        style = "bold green" if one.ships and decision.passed else "bold" if one.ships else ""
        table.add_row(Text(one.name), *_scores(one, board.columns), style=style)
    table.add_row()
    table.add_row("questions", *(str(n) for n in counts), style="dim")
    return table


def _shipping(ships: Mapping[str, str]) -> str:
    form = "unquantised" if ships["format"] == "none" else ships["format"]
    return f"{form} ({ships['why']})"


def _scores(one: Candidate, columns: Iterable[str]) -> Iterator[str]:
    for name in columns:
        cell = one.cells.get(name)
        if cell is None:
            yield "-"
        elif name == WHOLE:
            yield f"{cell.mean:.2f} ({cell.low:.2f}-{cell.high:.2f})"
        else:
            yield f"{cell.mean:.2f}"


def funnel_table(steps: Mapping[str, Counted]) -> Table:
    """What each step read, kept and rejected, and why. `steps`: counts by the step's name, in their order."""
    table = Table(title="Rows", title_justify="left", header_style="bold")
    table.add_column("step", no_wrap=True)
    for name in ("read", "kept", "rejected"):
        table.add_column(name, justify="right")
    table.add_column("reasons")
    for step, counts in steps.items():
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(counts.rejected.items(), key=lambda r: -r[1]))
        lost = sum(counts.rejected.values())
        table.add_row(Text(step), f"{counts.read:,}", f"{counts.kept:,}", f"{lost:,}" if lost else "", Text(reasons))
    return table
