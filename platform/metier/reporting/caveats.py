"""What whoever decides must know beside the score, in words: rules over a `Story`, the gravest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from metier.reporting.exam import WHOLE
from metier.reporting.gather import Story

Level = Literal["stop", "warning", "note", "good"]
LEVELS: tuple[Level, ...] = ("stop", "warning", "note", "good")
ENOUGH_QUESTIONS = 200  # 200-500 make an exam that tells candidates apart
LOW_SLICE = 0.5
ENOUGH_FOUND = 0.8


@dataclass(frozen=True)
class Caveat:
    """One thing to know."""

    level: Level
    text: str


def caveats(story: Story) -> list[Caveat]:
    """All caveats, the gravest first."""
    rules = (_gate, _slices, _hallucination, _training, _merging, _review, _retrieval, _formats, _size)
    found = [caveat for rule in rules for caveat in rule(story)]
    return sorted(found, key=lambda c: LEVELS.index(c.level))


def _gate(story: Story) -> Iterator[Caveat]:
    decision = story.material.decision
    if not decision.passed:
        yield Caveat("stop", f"The gate refuses this model: {decision.why}.")
    elif story.gain and story.gain.low <= 0:
        yield Caveat("warning", f"The gain over {story.gain.baseline} may be zero: its interval reaches below it.")


def _slices(story: Story) -> Iterator[Caveat]:
    shipped, best = story.board.shipped, story.board.baseline
    known = {s: shipped.cells[s] for s in story.board.slices if s in shipped.cells and s != "unanswerable"}
    if known:
        weakest = min(known, key=lambda s: known[s].mean)
        cell = known[weakest]
        level: Level = "warning" if cell.mean < LOW_SLICE else "note"
        yield Caveat(level, f"The weakest slice is {weakest}: {cell.mean:.2f} on {cell.questions} questions.")
    for slice_ in story.board.slices if best else ():
        ours, theirs = shipped.cells.get(slice_), best.cells.get(slice_) if best else None
        if ours and theirs and ours.mean < theirs.mean:
            yield Caveat(
                "warning", f"In {slice_} the best baseline is better: {theirs.mean:.2f} against {ours.mean:.2f}."
            )


def _hallucination(story: Story) -> Iterator[Caveat]:
    cell = story.board.shipped.cells.get("unanswerable")
    if cell is None:
        yield Caveat("warning", "No question without an answer was asked, so nobody knows whether it invents answers.")
    else:
        level: Level = "good" if cell.low >= ENOUGH_FOUND else "warning" if cell.mean < ENOUGH_FOUND else "note"
        where = f"where the documents have no answer ({cell.questions} questions)"
        yield Caveat(level, f"It scores {cell.mean:.2f} of 1 for saying so {where}.")


def _training(story: Story) -> Iterator[Caveat]:
    course = story.material.course
    yield Caveat("warning" if course.grave else "note", f"Training: {course.verdict}")


def _merging(story: Story) -> Iterator[Caveat]:
    merging = story.material.merging
    if merging and merging.worse:
        yield Caveat("warning", merging.text)


def _review(story: Story) -> Iterator[Caveat]:
    review = story.material.review
    unreviewed = review.get("unreviewed", 0)
    if unreviewed:
        text = f"{unreviewed:,} of {review['dialogues']:,} training pairs were seen by no expert; they pass by default."
        yield Caveat("warning" if unreviewed == review["dialogues"] else "note", text)


def _retrieval(story: Story) -> Iterator[Caveat]:
    if story.retrieval:
        found = story.retrieval.found[WHOLE]
        text = f"Retrieval found the right document for {found.mean:.0%} of {found.questions} questions."
        yield Caveat("warning" if found.mean < ENOUGH_FOUND else "good", text)


def _formats(story: Story) -> Iterator[Caveat]:
    for one in story.material.decision.formats:
        if not one.executable:
            yield Caveat("note", f"{one.format} was not examined: {one.why}.")
        elif not one.passed:
            yield Caveat("note", f"{one.format} does not ship: {one.why}.")


def _size(story: Story) -> Iterator[Caveat]:
    if story.asked < ENOUGH_QUESTIONS:
        yield Caveat(
            "note", f"The final exam has {story.asked} questions; {ENOUGH_QUESTIONS} or more tell finer differences."
        )
    small = [s for s in story.board.slices if story.board.shipped.cells[s].questions < story.material.min_slice]
    if small:
        yield Caveat("note", f"Too few questions to decide anything in: {', '.join(small)}.")
