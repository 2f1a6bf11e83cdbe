"""The tune stage but for its training: what it takes, in which order it tells its trials, which rows trials see."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from metier.config import TrainResources
from metier.errors import InputError
from metier.models import ModelSource
from metier.records import Setting
from metier.stages import tune
from metier.training.course import Point
from metier.training.trials import Outcome

RATE = {"learning_rate": {"low": 1e-4, "high": 1e-3}}


def config(**settings) -> tune.Config:
    return tune.Config.model_validate(settings)


def test_a_setting_that_its_stage_does_not_take_is_refused_with_the_file():
    with pytest.raises(ValidationError, match="did you mean 'learning_rate'"):
        config(search={"learning_rates": RATE["learning_rate"]})
    with pytest.raises(ValidationError, match=r"train has no setting 'method\.rank'"):
        config(search={"method.rank": {"choices": [8, 16]}}, train={"method": {"method": "full"}})


@pytest.mark.parametrize(
    ("search", "most"),
    [(RATE, 6), ({"epochs": {"low": 1, "high": 5}}, 10), ({"epochs": {"choices": [1, 4]}}, 8)],
)
def test_the_longest_trial_sets_the_pruning(search, most):
    assert config(search=search, train={"epochs": 3, "checkpoints_per_epoch": 2}).most_checkpoints() == most


def outcome(state: str, score: float | None, rate: float) -> Outcome:
    points = (
        [] if score is None else [Point(step=4, epoch=1, train_loss=1, val_loss=0.5, dev_score=score, dev_error=0.1)]
    )
    return Outcome({"learning_rate": rate}, state, points, 2.0, "diverged" if state == "failed" else "")


def test_the_winner_stands_first_and_failures_last():
    told = tune.ranked(
        [
            outcome("failed", None, 0.1),
            outcome("pruned", 0.9, 0.2),
            outcome("complete", 0.3, 0.3),
            outcome("complete", 0.8, 0.4),
        ]
    )
    assert [one.settings["learning_rate"] for one in told] == [0.4, 0.3, 0.2, 0.1]


def test_a_trial_is_a_row_with_the_checkpoint_that_it_would_keep():
    row = tune.record_of(outcome("complete", 0.8, 1e-3))
    assert row.settings == (Setting(name="learning_rate", value="0.001"),)
    assert (row.state, row.checkpoints, row.step, row.score, row.error, row.val_loss) == (
        "complete",
        1,
        4,
        0.8,
        0.1,
        0.5,
    )
    failed = tune.record_of(outcome("failed", None, 1e-3))
    assert (failed.checkpoints, failed.step, failed.score, failed.reason) == (0, None, None, "diverged")


BASE = "meta-llama/Meta-Llama-3-8B-Instruct"  # whose sizes are known without its files
EIGHT = {"optimiser": {"choices": ["auto", "adamw_8bit"]}}
DORA = {"method.dora": {"choices": [False, True]}}


@pytest.fixture
def no_hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def check(search, train=None, **resources) -> None:
    inputs = {name: ModelSource(BASE) for name in tune.STAGE.inputs}
    tune.check(tune.STAGE.step(config(search=search, train=train or {}), TrainResources(**resources), **inputs))


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize(
    ("search", "resources", "said"),
    [
        (RATE, {"engine": "ddp", "offload": True}, r"^tune: resources\.tune\.offload: under engine ddp"),
        (EIGHT, {"gpus": 1, "workers": 2, "engine": "fsdp2"}, r"^stages\.tune\.search\.optimiser adamw_8bit: .* spread"),
        (EIGHT, {}, r"^stages\.tune\.search\.optimiser adamw_8bit: .* resources\.tune\.gpus is 0"),
        (DORA, {"gpus": 1, "engine": "zero3"}, r"^stages\.tune\.search\.method\.dora True: resources\.tune\.engine zero3"),
        (EIGHT | DORA, {"gpus": 1, "engine": "zero3"}, r"^stages\.tune\.search\.(optimiser adamw_8bit|method\.dora True): "),
        ({"method.method": {"choices": ["lora", "qlora"]}}, {"gpus": 1, "engine": "fsdp2"},
         r"^stages\.tune\.search\.method\.method qlora: "),
        ({"pack_tokens": {"low": 512, "high": 200_000}} | RATE, {"gpus": 1, "gpu_memory_gb": 40},
         r"^stages\.tune\.search\.pack_tokens 200000: .* GiB are needed for rows of 200000 tokens"),
        ({"method.rank": {"choices": [8, 1024, 16]}}, {"gpus": 1, "gpu_memory_gb": 24},
         r"^stages\.tune\.search\.method\.rank 1024: .* GiB are needed"),
        (RATE, {"gpus": 1, "gpu_memory_gb": 12}, r"^tune: train\.method lora: .* GiB are needed"),
    ],
)  # fmt: skip
def test_the_plan_refuses_a_space_with_a_trial_that_can_t_be_trained(search, resources, said):
    with pytest.raises(InputError, match=said) as refused:
        check(search, **resources)
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("no_hub")
def test_the_plan_takes_a_space_whose_every_trial_fits():
    large = {"pack_tokens": {"low": 512, "high": 8192}, "method.rank": {"choices": [8, 64]}}
    check(EIGHT | DORA | large, gpus=1, gpu_memory_gb=80)
    check(RATE)
    check({"blend.retrieval_share": {"low": 0.1, "high": 0.5}}, track=("wandb",))
