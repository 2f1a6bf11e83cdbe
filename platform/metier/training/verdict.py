"""What happened in training, in words: each finding with what to do next. Pure.

A finding is one rule over the course. The gravest comes first, and the first sentence names the checkpoint that is kept.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metier.training.course import Facts, History, Point
from metier.training.guard import best_point, loss_of, score_of
from metier.training.soundness import Spike, Watch

LOSS_RISE = 1.02  # validation loss this much over its best is a rise, not noise
LEAST_FALL = 0.97  # training loss still above this share of its first value: nothing was learnt
BY_HEART, FAR_BELOW = 0.1, 0.1  # training loss below this, and below that share of the validation loss
SURE = 1.64  # standard errors of a difference: 5 % by chance, one-sided
LENGTH_FACTOR, LENGTH_WORDS = 2.0, 5.0  # answers are longer or shorter than they should be by both
REFUSALS = 0.2  # over the share of unanswerable questions: retrieval misses passages too
ENOUGH_UNANSWERABLE = 3  # questions, of which none was refused
ALIKE = 0.5  # share of examples with a near neighbour from which the data is told to be narrow
MOST_NAMED = 3  # spikes
OF_THE_LOSS = {"overfitting", "unstable", "memorised", "unlearnt", "unwatched", "improving"}
"""Findings after which nothing is left to say of the validation loss."""


@dataclass(frozen=True)
class Finding:
    """One thing that was seen. `grave`: whoever decides about the model must know it."""

    kind: str
    grave: bool
    seen: str
    advice: str = ""


@dataclass(frozen=True)
class Course:
    """What the rules look at."""

    points: Sequence[Point]
    facts: Facts
    best: Point
    spikes: Sequence[Spike]
    first_loss: float | None  # of the first steps

    @property
    def last(self) -> Point:
        """The last checkpoint."""
        return self.points[-1]

    @property
    def lowest(self) -> Point:
        """The checkpoint with the lowest validation loss."""
        return min(self.points, key=loss_of)

    @property
    def rises(self) -> bool:
        """Whether the validation loss rises."""
        return math.isfinite(loss_of(self.last)) and loss_of(self.last) > LOSS_RISE * loss_of(self.lowest)


Rule = Callable[[Course], Finding | None]


def findings(history: History, facts: Facts | None = None) -> list[Finding]:
    """All that is to be said of a course with at least one checkpoint, the gravest first."""
    watch = Watch(history.losses)
    points = history.points
    course = Course(points, facts or Facts(), best_point(points), watch.spikes, watch.first_loss)
    found = [finding for rule in RULES if (finding := rule(course))]
    if not OF_THE_LOSS & {f.kind for f in found}:
        found.insert(0, Finding("calm", False, "No overfitting seen: validation loss does not rise"))
    return sorted(found, key=lambda f: not f.grave)


def verdict(history: History, facts: Facts | None = None) -> str:
    """What happened, in words."""
    head, *others = findings(history, facts)
    first = dataclasses.replace(head, seen=f"{head.seen}; {kept(history.points)}")
    return " ".join(" ".join(f"{part}." for part in (f.seen, f.advice) if part) for f in (first, *others))


def kept(points: Sequence[Point]) -> str:
    """Which checkpoint is kept, and its dev score."""
    best, said = best_point(points), ""
    if best.dev_score is not None:
        top = max(points, key=score_of)
        beside = (
            f", within its error of {score_of(top):.2f} at step {top.step}" if score_of(best) < score_of(top) else ""
        )
        said = f" (dev exam {best.dev_score:.2f}{beside})"
    return f"checkpoint {best.step} of {points[-1].step} is kept{said}"


def _unwatched(course: Course) -> Finding | None:
    if course.last.val_loss is not None:
        return None
    return Finding(
        "unwatched", True, "Nothing was held out for a validation loss, so overfitting would not be seen",
        "Raise blend.validation_dialogues",
    )  # fmt: skip


def _rising(course: Course) -> Finding | None:
    """Validation loss rises: overfitting where training loss falls meanwhile, else unstable."""
    lowest, last = course.lowest, course.last
    if not course.rises:
        return None
    rise = (
        f"validation loss rises since epoch {lowest.epoch:g}, from {loss_of(lowest):.3f} (step {lowest.step}) to "
        f"{loss_of(last):.3f},"
    )
    if last.train_loss >= lowest.train_loss:
        seen = f"Unstable: {rise} and training loss does not fall"
        return Finding("unstable", True, seen, "A lower train.learning_rate would help")
    seen = f"Overfitting: {rise} while training loss falls to {last.train_loss:.3f}"
    if course.best is last and course.best.dev_score is not None:
        seen += f", and yet the dev exam is best at the end ({course.best.dev_score:.2f})"
    return Finding("overfitting", True, seen, _diversity(course.facts))


def _diversity(facts: Facts) -> str:
    share = facts.neighbour_share
    if share is None:
        return "Fewer epochs or more diverse data would help"
    told = f"nearest-neighbour share {share:.2f}"
    if share >= ALIKE:
        return f"More diverse data or fewer epochs would help: {told}, so most examples have one that is half alike"
    return f"Fewer epochs or more data would help: {told}, so the examples differ and are told too often"


def _by_heart(course: Course) -> Finding | None:
    train, held_out = course.last.train_loss, course.last.val_loss
    if held_out is None or train >= BY_HEART or train >= FAR_BELOW * held_out:
        return None
    seen = (
        f"Memorised: training loss is {train:.3f} and validation loss {held_out:.3f}: the examples are known by heart"
    )
    return Finding("memorised", True, seen, "" if course.rises else _diversity(course.facts))


def _unlearnt(course: Course) -> Finding | None:
    """Neither the loss fell nor the exam rose."""
    first, last = course.first_loss, course.last
    if first is None or last.train_loss < LEAST_FALL * first or _sure_gain(course.points[0], course.best):
        return None
    if (
        len(course.points) > 1
        and math.isfinite(loss_of(last))
        and loss_of(last) < LEAST_FALL * loss_of(course.points[0])
    ):
        return None
    seen = f"Nothing was learnt: training loss is {first:.2f} at the beginning and {last.train_loss:.2f} at the end"
    advice = "A higher train.learning_rate or rank may help; look also whether question and answer belong together"
    return Finding("unlearnt", True, seen, advice)


def _sure_gain(one: Point, other: Point) -> bool:
    """Whether the other's dev score is higher, and not by chance."""
    error = math.hypot(one.dev_error or 0.0, other.dev_error or 0.0)
    return score_of(other) - score_of(one) > SURE * error


def _forgetting(course: Course) -> Finding | None:
    """The exam falls although the loss does not rise."""
    top, last = max(course.points, key=score_of), course.last
    if top is last or last.dev_score is None or course.rises or not _sure_gain(last, top):
        return None
    seen = (
        f"Answers become worse: the dev exam falls from {score_of(top):.2f} (step {top.step}) to {last.dev_score:.2f}, "
        "although the loss does not rise"
    )
    advice = "What the exam asks is being lost, or the form of answers: read some; fewer epochs or a lower learning rate help"
    return Finding("forgetting", True, seen, advice)


def _length(course: Course) -> Finding | None:
    """Answers of the kept checkpoint are far longer or shorter than the references, or than those at first."""
    words, first = course.best.answer_words, course.points[0].answer_words
    wanted, whose = (course.facts.reference_words, "in the references")
    if wanted is None:
        wanted, whose = first, f"at step {course.points[0].step}"
    if words is None or wanted is None or abs(words - wanted) < LENGTH_WORDS:
        return None
    seen = f"{words:.0f} words an answer at step {course.best.step}, {wanted:.0f} {whose}"
    if words > LENGTH_FACTOR * wanted:
        advice = "Look whether the training answers end with the end token, and are as long as they should be"
        return Finding("long_answers", True, f"Answers are too long: {seen}", advice)
    if words < wanted / LENGTH_FACTOR:
        return Finding(
            "short_answers", True, f"Answers are too short: {seen}", "More full answers in the blend would help"
        )
    return None


def _refusing(course: Course) -> Finding | None:
    """More refusals than questions without an answer, or none at all of those."""
    share, unanswerable, asked = course.best.refusal_share, course.facts.unanswerable_share, course.facts.dev_questions
    if share is None or unanswerable is None or not asked:
        return None
    error = math.sqrt(max(unanswerable * (1 - unanswerable), 1 / asked) / asked)
    if share > unanswerable + max(REFUSALS, SURE * error):
        seen = f"Refuses too often: {share:.0%} of the dev questions, and {unanswerable:.0%} have no answer"
        advice = "Fewer unanswerable examples in the blend would help, or better retrieval for the dev exam"
        return Finding("over_refusal", True, seen, advice)
    if share == 0 and round(unanswerable * asked) >= ENOUGH_UNANSWERABLE:
        seen = (
            f"Never refuses: {unanswerable:.0%} of the {asked} dev questions have no answer, and it gives one to each"
        )
        return Finding("no_refusal", True, seen, "More unanswerable examples in the blend would help")
    return None


def _spikes(course: Course) -> Finding | None:
    spikes = course.spikes
    if not spikes:
        return None
    told = "; ".join(f"{s.peak:.2f} at step {s.step}, {s.level:.2f} before" for s in spikes[:MOST_NAMED])
    told += f"; and {len(spikes) - MOST_NAMED} more" if len(spikes) > MOST_NAMED else ""
    number = "one loss spike" if len(spikes) == 1 else f"{len(spikes)} loss spikes"
    back = "came back" if spikes[-1].over else "did not come back by the end"
    advice = "A lower train.learning_rate or train.max_grad_norm, or a larger batch, would make it calmer"
    return Finding("spikes", not spikes[-1].over, f"Uneven: {number} ({told}), and the loss {back}", advice)


def _improving(course: Course) -> Finding | None:
    last, points = course.last, course.points
    if course.best is not last or len(points) < 2 or course.rises or score_of(last) < score_of(points[-2]):
        return None
    if math.isinf(loss_of(last)):
        return None
    return Finding("improving", False, "Still improving at the end", "More epochs or more data may help")


RULES: tuple[Rule, ...] = (
    _unlearnt, _rising, _by_heart, _forgetting, _refusing, _length, _unwatched, _improving, _spikes,
)  # fmt: skip
