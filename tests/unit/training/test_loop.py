from __future__ import annotations

import dataclasses
import random

import pytest
import torch

from metier.errors import InputError, StepError
from metier.training import checkpoints
from metier.training.card import optimiser_of
from metier.training.course import DevScore, Point, StepReport
from metier.training.encoding import IGNORED, Example
from metier.training.engine import Peers, Replicated
from metier.training.fast_layers import accelerate
from metier.training.feed import Feed, scheduled, tables_of, write_steps
from metier.training.guard import contenders
from metier.training.loop import Run, train
from metier.training.model import LoraMethod, load_base, trainable, with_adapter
from metier.training.recipe import Recipe
from metier.training.storage import Storage
from tests.fixtures.tiny_model import make_tiny_model

METHOD = LoraMethod(rank=4, dropout=0.1)  # dropout: a resumed run must also draw the same random numbers
RECIPE = Recipe(
    epochs=2, learning_rate=5e-3, batch_tokens=64, checkpoints_per_epoch=2, precision="float32", warmup_share=0.1
)


class Killed(Exception):
    """Stands for SIGKILL: nothing catches it."""


def examples(number: int, seed: int = 0) -> list[Example]:
    """Texts that a rule governs, so that there is something to learn: a token is followed by the next one."""
    draw = random.Random(seed)
    made = []
    for _ in range(number):
        start = draw.randrange(10, 400)
        ids = [1, *range(start, start + draw.randrange(4, 14)), 2]
        made.append(Example(ids, [IGNORED, IGNORED, *ids[2:]]))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("model"), ["some text"]))


@pytest.fixture
def started(folder, tmp_path):
    """A function that makes a run over a fresh adapter; runs of one name share their checkpoints."""

    def start(
        recipe: Recipe = RECIPE,
        name: str = "work",
        rows: list[Example] | None = None,
        held_out: list[Example] | None = None,
        method: LoraMethod = METHOD,
        **changes,
    ) -> Run:
        model = with_adapter(load_base(folder, "cpu"), method, recipe.seed)
        if recipe.packing == "rows":
            accelerate(model)
        train, validation = rows or examples(40), examples(8, seed=1) if held_out is None else held_out
        schedule = scheduled(train, validation, recipe, rows=recipe.packing == "rows")
        files = tmp_path / f"{name}-{schedule.digest[:8]}"
        files.mkdir(exist_ok=True)
        write_steps(files / "train.arrow", schedule.steps())
        write_steps(files / "validation.arrow", schedule.held_out)
        optimiser = optimiser_of("adamw", list(trainable(model).values()), "cpu", recipe.learning_rate, 0.0)
        run = Run(
            engine=Replicated(model, optimiser, "cpu", Peers()),
            feed=Feed(lambda: tables_of(files / "train.arrow"), lambda: tables_of(files / "validation.arrow")),
            steps=[len(epoch) for epoch in schedule.epochs],
            pad=2,
            storage=Storage(str(tmp_path / name)),
            recipe=recipe,
            identity={"training set": schedule.digest, "method": str(method)},
        )
        return dataclasses.replace(run, **changes)

    return start


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainable(run.engine.model).items()}


def at_step(wanted: int, act) -> object:
    """A listener that acts once a step is told."""

    def tell(told: StepReport | Point) -> None:
        if isinstance(told, StepReport) and told.step == wanted:
            act()

    return tell


def kill() -> None:
    raise Killed


def test_rows_without_padding_train_as_padded_ones_do(started):
    """Same steps, as one step holds the whole set; losses and weights then agree."""
    recipe, method = RECIPE.model_copy(update={"batch_tokens": 10_000, "epochs": 4}), LoraMethod(rank=4)
    expected = train(started(recipe, "plain", method=method))
    history = train(started(recipe.model_copy(update={"packing": "rows"}), "fast", method=method))
    assert [row[0] for row in history.losses] == [row[0] for row in expected.losses]
    for (_, mine, _), (_, theirs, _) in zip(history.losses, expected.losses, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    assert history.points[-1].val_loss == pytest.approx(expected.points[-1].val_loss, rel=1e-4)
    assert history.losses[-1][1] < history.losses[0][1]


def test_training_lowers_both_losses(started):
    history = train(started(RECIPE.model_copy(update={"epochs": 6})))
    recent = history.losses[-(len(history.losses) // 10) :]
    assert len({labels for _, _, labels in recent}) > 1
    of_a_token = sum(loss * labels for _, loss, labels in recent) / sum(labels for _, _, labels in recent)
    assert history.points[-1].train_loss == pytest.approx(of_a_token, rel=1e-12)
    assert history.points[-1].val_loss < history.points[0].val_loss
    assert history.losses[-1][1] < history.losses[0][1]


def test_checkpoints_come_as_often_as_asked_and_the_last_at_the_end(started):
    run = started()
    history = train(run)
    assert len(history.points) == 4
    assert history.points[-1].step == history.losses[-1][0] == sum(run.steps)
    kept = {*contenders(history.points), history.points[-1].step}
    assert set(checkpoints.complete(run.storage)) == kept


def test_what_is_told_is_the_course(started):
    told: list[StepReport | Point] = []
    run = started(tell=told.append)
    history = train(run)
    reports = [one for one in told if isinstance(one, StepReport)]
    assert [[r.step, r.loss, r.labels] for r in reports] == history.losses
    assert [one for one in told if isinstance(one, Point)] == history.points
    per_epoch = sum(r.tokens for r in reports[: run.steps[0]])
    assert per_epoch == sum(len(e.ids) for e in examples(40))
    assert all(r.computed_tokens >= r.tokens > r.labels > 0 for r in reports)
    assert all(r.seconds > 0 and r.grad_norm > 0 for r in reports)
    rates = [r.learning_rate for r in reports]
    assert max(rates) == RECIPE.learning_rate > rates[-1] > 0


def test_a_killed_run_goes_on_to_the_bit(started):
    whole = started(name="whole")
    expected = train(whole)
    with pytest.raises(Killed):
        train(started(tell=at_step(expected.points[1].step + 2, kill)))
    resumed = started()
    seen: list[int] = []
    resumed.tell = lambda told: seen.append(told.step)
    history = train(resumed)
    assert seen[0] == expected.points[1].step + 1
    assert history == expected
    for name, weight in weights_of(whole).items():
        assert torch.equal(weight, weights_of(resumed)[name]), name


def test_a_finished_run_has_nothing_to_go_on_with(started):
    once, again = started(), started()
    assert train(once) == train(again)
    for name, weight in weights_of(once).items():
        assert torch.equal(weight, weights_of(again)[name]), name


def test_an_evaluation_changes_nothing_in_the_training(started):
    def dev_exam(engine) -> DevScore:
        torch.rand(7)  # generation draws random numbers too
        return DevScore(0.5, 0.0, 3.0, 0.0)

    plain, examined = started(name="plain"), started(name="examined", dev_exam=dev_exam)
    train(plain)
    history = train(examined)
    assert {p.dev_score for p in history.points} == {0.5}
    for name, weight in weights_of(plain).items():
        assert torch.equal(weight, weights_of(examined)[name]), name


def test_training_stops_early_and_a_resumed_run_stops_there_too(started):
    scores = iter([0.9] + [0.1] * 20)
    recipe = RECIPE.model_copy(update={"epochs": 8, "patience": 2, "learning_rate": 1e-7})

    def fresh(**changes) -> Run:
        dev_exam = lambda engine: DevScore(next(scores), 0.0, 1.0, 0.0)  # noqa: E731
        return started(recipe, held_out=[], dev_exam=dev_exam, **changes)

    history = train(fresh())
    assert history.stopped_early
    assert len(history.points) == 3
    assert train(fresh()) == history


def test_an_evaluation_that_cuts_the_gradients_off_is_noticed(started):
    """As bitsandbytes' 4-bit layers do on a CPU: they are repacked for inference and never unpacked."""

    def severing(engine) -> DevScore:
        for name, part in engine.model.named_modules():
            if name.endswith("layers.0.self_attn.q_proj"):
                part.forward = lambda x, part=part: part.base_layer(x)
        return DevScore(0.5, 0.0, 1.0, 0.0)

    with pytest.raises(
        StepError, match=r"no gradient reaches 1 of 14 trained layers, first .*layers\.0\.self_attn\.q_proj"
    ):
        train(started(dev_exam=severing))


@pytest.mark.parametrize("factor", [300.0, float("nan")])
def test_divergence_ends_training_with_a_remedy(started, factor):
    run = started(RECIPE.model_copy(update={"epochs": 8}))

    def blow_up() -> None:
        with torch.no_grad():
            run.engine.model.get_base_model().model.norm.weight.mul_(factor)

    run.tell = at_step(11, blow_up)
    with pytest.raises(StepError, match=r"training diverged: .*; lower train\.learning_rate"):
        train(run)


def test_a_checkpoint_of_another_training_set_is_refused(started):
    train(started())
    with pytest.raises(
        InputError, match="are of another training set: remove them to begin anew, or name another folder"
    ):
        train(started(rows=examples(9)))


def test_data_that_ends_early_is_no_success(started):
    run = started()
    with pytest.raises(StepError, match=r"the data ended at step \d+ of"):
        train(dataclasses.replace(run, steps=[run.steps[0], run.steps[1] + 3]))


def test_a_checkpoint_of_another_method_is_refused(started):
    train(started())
    with pytest.raises(InputError, match="are of another method"):
        train(started(method=LoraMethod(rank=8)))
    with pytest.raises(InputError, match=r"checkpoint of another model or method: .*lora_A.* differs"):
        train(started(method=LoraMethod(rank=8), identity=started().identity))
