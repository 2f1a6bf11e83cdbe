from __future__ import annotations

import dataclasses
import random
import shutil

import pytest
import torch

from metier.errors import StepError
from metier.training import checkpoints
from metier.training.encoding import IGNORED, Example
from metier.training.fast_layers import accelerate
from metier.training.loop import DevScore, Recipe, Run, _packs, _refuse_divergence, train
from metier.training.model import LoraMethod, load_base, trainable, with_adapter
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
    """A function that makes a run over a fresh adapter; the work folder is shared by the runs of one test."""

    def start(recipe: Recipe = RECIPE, name: str = "work", **changes) -> Run:
        work = tmp_path / name
        work.mkdir(exist_ok=True)
        model = with_adapter(load_base(folder, "cpu"), METHOD, recipe.seed)
        run = Run(model=model, train=examples(40), validation=examples(8, seed=1), pad=2, work=work, recipe=recipe)
        return dataclasses.replace(run, **changes)

    return start


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainable(run.model).items()}


def test_rows_without_padding_train_as_padded_ones_do(started):
    """Same steps, as one step holds the whole set; losses and weights then agree."""
    recipe = RECIPE.model_copy(update={"batch_tokens": 10_000, "epochs": 4})
    model = with_adapter(
        load_base(started().model.get_base_model().name_or_path, "cpu"), LoraMethod(rank=4), recipe.seed
    )
    plain = started(recipe, "plain", model=model)
    expected = train(plain)
    packed_recipe = recipe.model_copy(update={"packing": "rows"})
    model = with_adapter(
        load_base(started().model.get_base_model().name_or_path, "cpu"), LoraMethod(rank=4), recipe.seed
    )
    accelerate(model)
    fast = started(packed_recipe, "fast", model=model)
    history = train(fast)
    assert [step for step, _ in history.losses] == [step for step, _ in expected.losses]
    for (_, mine), (_, theirs) in zip(history.losses, expected.losses, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    assert history.points[-1].val_loss == pytest.approx(expected.points[-1].val_loss, rel=1e-4)
    assert history.losses[-1][1] < history.losses[0][1]


def test_a_model_that_mixes_the_texts_of_a_row_is_refused(started):
    run = started(RECIPE.model_copy(update={"packing": "rows"}), train=examples(12))
    accelerate(run.model)
    layer = run.model.get_base_model().model.layers[0]
    plain = layer.forward
    layer.forward = lambda hidden, **settings: plain(hidden.cumsum(1) if "segments" in settings else hidden, **settings)
    with pytest.raises(StepError, match=r"lets examples see each other; set train\.packing to padded"):
        train(run)


def test_training_lowers_both_losses(started):
    history = train(started(RECIPE.model_copy(update={"epochs": 6})))
    assert history.points[-1].val_loss < history.points[0].val_loss
    assert history.losses[-1][1] < history.losses[0][1]


def test_checkpoints_come_as_often_as_asked_and_the_last_at_the_end(started):
    run = started()
    history = train(run)
    assert len(history.points) == 4
    assert history.points[-1].step == history.losses[-1][0]
    assert [p.name for p in checkpoints.complete(run.work)] == [f"step-{p.step:06d}" for p in history.points]


def test_a_killed_run_goes_on_to_the_bit(started):
    whole = started(name="whole")
    expected = train(whole)

    def kill(done: int, total: int, what: str) -> None:
        if done == expected.points[1].step + 2:
            raise Killed

    with pytest.raises(Killed):
        train(started(progress=kill))
    resumed = started()
    seen: list[int] = []
    history = train(dataclasses.replace(resumed, progress=lambda done, total, what: seen.append(done)))
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
    def dev_exam(model) -> DevScore:
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
        return started(recipe, validation=(), dev_exam=lambda model: DevScore(next(scores), 0.0, 1.0, 0.0), **changes)

    history = train(fresh())
    assert history.stopped_early
    assert len(history.points) == 3
    assert train(fresh()) == history


def test_an_evaluation_that_cuts_the_gradients_off_is_noticed(started):
    """As bitsandbytes' 4-bit layers do on a CPU: they are repacked for inference and never unpacked."""

    def severing(model) -> DevScore:
        for name, part in model.named_modules():
            if name.endswith("layers.0.self_attn.q_proj"):
                part.forward = lambda x, part=part: part.base_layer(x)
        return DevScore(0.5, 0.0, 1.0, 0.0)

    with pytest.raises(
        StepError, match=r"no gradient reaches 1 of 14 trained layers, first .*layers\.0\.self_attn\.q_proj"
    ):
        train(started(dev_exam=severing))


def test_a_set_without_labels_is_refused(started):
    silent = [Example(e.ids, [e.ids[0]] + [IGNORED] * (len(e.ids) - 1)) for e in examples(4)]
    with pytest.raises(StepError, match="no token of the training set carries a label"):
        train(started(train=silent))


@pytest.mark.parametrize("factor", [300.0, float("nan")])
def test_divergence_ends_training_with_a_remedy(started, factor):
    run = started()

    def blow_up(done: int, total: int, what: str) -> None:
        if done == 11:
            with torch.no_grad():
                run.model.get_base_model().model.norm.weight.mul_(factor)

    with pytest.raises(StepError, match=r"training diverged: .* at step 12; lower train\.learning_rate"):
        train(dataclasses.replace(run, progress=blow_up))


def test_a_checkpoint_of_another_plan_is_refused(started):
    train(started())
    with pytest.raises(StepError, match="belongs to a plan of .* steps, this one has"):
        train(started(train=examples(9)))


def test_examples_that_begin_alike_are_one_pack_even_where_that_is_longer_than_a_step(started):
    start = list(range(4, 34))
    alike = [Example(start + [40 + i] * 6, [IGNORED] * 30 + [40 + i] * 6) for i in range(7)]
    packs, _ = _packs(started(train=alike))
    assert [(p.shared, len(p.examples)) for p in packs] == [(29, 7)]
    assert packs[0].tokens > started().recipe.batch_tokens


def test_one_hard_step_is_no_divergence_and_ten_are():
    steps = [[float(i), 2.0] for i in range(1, 12)]
    _refuse_divergence([*steps, [12.0, 12.0]])
    with pytest.raises(StepError, match="mean loss of the last 10 steps"):
        _refuse_divergence([*steps, *([12.0 + i, 4.5] for i in range(10))])


def test_a_checkpoint_of_another_method_is_refused(started, folder, tmp_path):
    train(started())
    other = with_adapter(load_base(folder, "cpu"), LoraMethod(rank=8), seed=0)
    with pytest.raises(StepError, match="checkpoint of another model or method"):
        train(started(model=other))


def test_half_a_checkpoint_is_not_a_checkpoint(started):
    run = started()
    train(run)
    newest = checkpoints.newest(run.work)
    shutil.copytree(newest, run.work / "step-999999.partial")
    (run.work / "step-999998").mkdir()
    assert checkpoints.newest(run.work) == newest
