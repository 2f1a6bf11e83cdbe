"""The watch over a course: on noise like that of short answers in small batches, and with planted faults."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from metier.errors import StepError
from metier.training.course import Point, StepLoss
from metier.training.soundness import Watch, refuse_unsound_point


def course(steps: int, answers: int, seed: int = 0) -> list[StepLoss]:
    """A falling loss. Each step holds a few answers of some tokens; one in five is hard as a whole."""
    draw = random.Random(seed)
    made = []
    for step in range(1, steps + 1):
        level = 0.3 + 2.2 * math.exp(-6 * step / steps)
        lengths = [
            max(1, int(draw.lognormvariate(2.0, 0.8))) for _ in range(max(1, answers // 2 + draw.randrange(answers)))
        ]
        losses = [draw.gammavariate(2, 1.5) if draw.random() < 0.2 else draw.expovariate(1 / level) for _ in lengths]
        total = sum(n * loss for n, loss in zip(lengths, losses, strict=True))
        made.append(StepLoss(step, total / sum(lengths), sum(lengths)))
    return made


def worse(losses: list[StepLoss], by: float, first: int, steps: int = 10**6) -> list[StepLoss]:
    """The course with that much added to some steps."""
    return [one._replace(loss=one.loss + by) if first <= one.step < first + steps else one for one in losses]


def watched(losses: list[StepLoss]) -> Watch:
    watch = Watch()
    for one in losses:
        watch.see(one, grad_norm=1.0)
    return watch


@pytest.mark.parametrize(("steps", "answers"), [(250, 2), (250, 12), (200, 100)])
@pytest.mark.parametrize("seed", range(8))
def test_noise_is_neither_divergence_nor_a_spike(steps, answers, seed):
    assert watched(course(steps, answers, seed)).spikes == []


@pytest.mark.parametrize(("first", "by"), [(4, 9.0), (100, 6.0)])
@pytest.mark.parametrize("answers", [2, 100])
def test_a_loss_that_stays_up_is_divergence(first, by, answers):
    with pytest.raises(StepError, match=r"training diverged: .* at step \d+; lower train\.learning_rate"):
        watched(worse(course(250, answers), by, first))


def test_what_is_lost_half_way_is_divergence_where_the_first_loss_was_higher_still():
    with pytest.raises(StepError, match=r"rose from 0\.\d\d to 2\.\d\d at step 150 and has not come back"):
        watched(worse(course(250, 100), 1.5, 150))


def test_a_spike_that_comes_back_is_told_and_no_divergence():
    (spike,) = watched(worse(course(250, 100), 3.0, 150, 6)).spikes
    assert (spike.step, spike.over) == (150, True)
    assert 6 <= spike.steps <= 7  # one more where a step with few labels was pooled with the next
    assert spike.peak - spike.level == pytest.approx(3, abs=0.5)


def test_a_lasting_rise_that_keeps_most_of_what_was_learnt_is_told():
    (spike,) = watched(worse(course(250, 400), 0.8, 200)).spikes
    assert (spike.step, spike.steps, spike.over) == (200, 51, False)


def test_a_hard_batch_is_no_spike():
    assert watched(worse(course(250, 100), 9.0, 150, 1)).spikes == []


@pytest.mark.parametrize(
    ("loss", "norm", "what"),
    [(math.nan, 1.0, "the loss is nan"), (math.inf, 1.0, "the loss is inf"), (1.0, math.nan, "gradient's norm is nan")],
)
def test_what_is_no_number_is_refused_with_the_last_sound_checkpoint(loss, norm, what):
    watch = watched(course(20, 2))
    with pytest.raises(StepError, match=rf"{what} at step 21; .*\(checkpoint 16 is the last sound one\)"):
        watch.see(StepLoss(21, loss, 9), norm, checkpoint=16)


def test_a_validation_loss_that_is_no_number_is_refused():
    refuse_unsound_point(Point(10, 1.0, 1.0, 2.0))
    refuse_unsound_point(Point(10, 1.0, 1.0))
    with pytest.raises(StepError, match="the validation loss is nan at step 10"):
        refuse_unsound_point(Point(10, 1.0, 1.0, math.nan))
    with pytest.raises(StepError, match=r"\(checkpoint 5 is the last sound one\)"):
        refuse_unsound_point(Point(10, 1.0, 1.0, math.nan), checkpoint=5)


@pytest.mark.parametrize("step", [1, 20, 22])
def test_a_resumed_course_that_repeats_or_skips_steps_is_refused(step):
    resumed = Watch(course(20, 2))
    with pytest.raises(StepError, match=f"step {step} comes after step 20"):
        resumed.see(StepLoss(step, 1.0, 9))


def test_a_resumed_watch_goes_on_as_if_it_had_not_ended():
    losses = worse(course(250, 100), 3.0, 150, 6)
    resumed = Watch([list(one) for one in losses[:153]])  # as JSON gives them
    for one in losses[153:]:
        resumed.see(one)
    assert resumed.spikes == watched(losses).spikes
    assert resumed.first_loss == statistics.median(x.loss for x in losses[:5])
