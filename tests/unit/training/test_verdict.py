"""Each finding from a course that shows it, and none of the others."""

from __future__ import annotations

import dataclasses

import pytest

from metier.training.course import Facts, History, Point
from metier.training.verdict import findings, verdict

EXAM = Facts(dev_questions=40, reference_words=12.0, unanswerable_share=0.2)


def history(*rows: tuple[float, float | None, float | None], first: float | None = None, **last: float) -> History:
    """Checkpoints at steps 10, 20, ... from (train_loss, val_loss, dev_score); losses that begin at `first`."""
    points = [
        Point(10 * i, i / 2, train, val, dev, 0.05, 12.0, 0.2) if dev is not None else Point(10 * i, i / 2, train, val)
        for i, (train, val, dev) in enumerate(rows, 1)
    ]
    points[-1] = dataclasses.replace(points[-1], **last)
    begun = rows[0][0] * 2 if first is None else first
    losses = [[step, begun if step <= 5 else rows[(step - 1) // 10][0], 500] for step in range(1, 10 * len(rows) + 1)]
    return History(points, losses)


CALM = ((2, 1.5, 0.6), (1, 1.5, 0.6))


def kinds(course: History, facts: Facts = EXAM) -> list[str]:
    return [f.kind for f in findings(course, facts)]


def test_overfitting_is_told_by_its_numbers_and_what_to_do_follows_from_the_data():
    course = history((2, 2.0, 0.3), (1, 1.5, 0.6), (0.25, 1.9, 0.5))
    text = verdict(course, dataclasses.replace(EXAM, neighbour_share=0.62))
    assert text.startswith(
        "Overfitting: validation loss rises since epoch 1, from 1.500 (step 20) to 1.900, while training"
    )
    assert "training loss falls to 0.250; checkpoint 20 of 30 is kept (dev exam 0.60)." in text
    assert text.endswith("More diverse data or fewer epochs would help: nearest-neighbour share 0.62, so most examples have "
                         "one that is half alike.")  # fmt: skip
    assert "Fewer epochs or more data would help" in verdict(course, dataclasses.replace(EXAM, neighbour_share=0.1))
    assert verdict(course).endswith("Fewer epochs or more diverse data would help.")
    assert kinds(course) == ["overfitting"]


def test_overfitting_of_the_loss_says_where_the_exam_still_improves():
    text = verdict(history((2, 1.5, 0.3), (1, 1.6, 0.5), (0.5, 1.9, 0.7)), EXAM)
    assert "and yet the dev exam is best at the end (0.70); checkpoint 30 of 30 is kept" in text


def test_both_losses_rising_is_not_called_overfitting():
    assert kinds(history((1, 1.5, 0.6), (2, 2.5, 0.6), first=4)) == ["unstable"]


def test_a_score_within_its_error_is_told_beside_the_kept_one():
    lucky = Point(step=10, epoch=0.5, train_loss=2, val_loss=2.0, dev_score=0.42, dev_error=0.12)
    later = Point(step=20, epoch=1, train_loss=1, val_loss=1.0, dev_score=0.31, dev_error=0.09)
    text = verdict(History([lucky, later]))
    assert "(dev exam 0.31, within its error of 0.42 at step 10)" in text
    assert "improving" not in text


def test_still_improving_and_calm():
    assert kinds(history((2, 2.0, 0.3), (1, 1.5, 0.6))) == ["improving"]
    assert kinds(history(*CALM)) == ["calm"]
    assert verdict(history(*CALM), EXAM).startswith("No overfitting seen")


def test_without_a_validation_loss_nothing_is_claimed():
    assert kinds(history((2, None, 0.6), (1, None, 0.6))) == ["unwatched"]
    assert verdict(history((2, None, None), (1, None, None))).startswith("Nothing was held out")


def test_known_by_heart():
    assert kinds(history((1, 0.9, 0.6), (0.01, 0.9, 0.6))) == ["memorised"]
    assert kinds(history((1, 0.9, 0.6), (0.01, 0.05, 0.6))) == ["improving"]  # an easy set is not memorised


def test_nothing_learnt_needs_both_the_loss_and_the_exam():
    flat = history((2.0, 2.0, 0.2), (1.99, 1.99, 0.2), first=2.0)
    assert kinds(flat) == ["unlearnt", *kinds(flat)[1:]]
    assert "training loss is 2.00 at the beginning and 1.99 at the end" in verdict(flat, EXAM)
    assert "unlearnt" not in kinds(history((2.0, 2.0, 0.2), (1.99, 1.99, 0.5), first=2.0))
    assert "unlearnt" not in kinds(history((2.0, 2.0, 0.2), (1.99, 1.5, 0.2), first=2.0))


def test_an_exam_that_falls_while_the_loss_falls():
    course = history((2, 2.0, 0.6), (1, 1.5, 0.3))
    assert "forgetting" in kinds(course)
    assert "dev exam falls from 0.60 (step 10) to 0.30" in verdict(course, EXAM)
    assert "forgetting" not in kinds(history((2, 2.0, 0.6), (1, 1.5, 0.55)))  # within the error


@pytest.mark.parametrize(
    ("words", "facts", "kind"),
    [
        (41.0, EXAM, "long_answers"),
        (4.0, EXAM, "short_answers"),
        (20.0, EXAM, None),
        (41.0, Facts(), "long_answers"),  # against the first checkpoint
        (None, EXAM, None),
    ],
)
def test_the_length_of_answers_is_held_against_the_references(words, facts, kind):
    found = set(kinds(history((2, 1.6, 0.5), (1, 1.5, 0.6), answer_words=words), facts))
    assert found & {"long_answers", "short_answers"} == ({kind} if kind else set())


def test_answers_of_the_kept_checkpoint_count():
    assert kinds(history((2, 1.5, 0.6), (1, 1.5, 0.6), answer_words=90.0)) == [
        "calm"
    ]  # 90 words at one that is not kept


@pytest.mark.parametrize(
    ("share", "unanswerable", "kind"),
    [(0.6, 0.2, "over_refusal"), (0.35, 0.2, None), (0.0, 0.2, "no_refusal"), (0.0, 0.05, None), (0.0, 0.0, None)],
)
def test_refusals_are_held_against_the_questions_without_an_answer(share, unanswerable, kind):
    facts = dataclasses.replace(EXAM, unanswerable_share=unanswerable)
    found = set(kinds(history((2, 1.6, 0.5), (1, 1.5, 0.6), refusal_share=share), facts))
    assert found & {"over_refusal", "no_refusal"} == ({kind} if kind else set())


def test_spikes_are_counted_and_those_that_did_not_come_back_are_grave():
    course = history((2, 1.5, 0.6), (2, 1.5, 0.6), (1, 1.5, 0.6), first=2.0)
    for first, steps in ((11, 4), (21, 3)):
        for row in course.losses[first : first + steps]:
            row[1] = 5.0
    text = verdict(course, EXAM)
    assert text.startswith("No overfitting seen")
    assert "Uneven: 2 loss spikes (5.00 at step 12, 2.00 before; 5.00 at step 22" in text
    assert "came back" in text
    for row in course.losses[26:]:
        row[1] = 5.0
    worst = findings(course, EXAM)[0]
    assert (worst.kind, worst.grave) == ("spikes", True)


def test_what_is_grave_comes_first_and_carries_the_checkpoint():
    course = history((2, 2.0, 0.5), (1, 1.5, 0.6), refusal_share=0.0)
    assert kinds(course) == ["no_refusal", "improving"]
    assert verdict(course, EXAM).startswith("Never refuses: 20% of the 40 dev questions have no answer, and it gives one to "
                                            "each; checkpoint 20 of 20 is kept")  # fmt: skip
