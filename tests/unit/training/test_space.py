"""Search spaces: what is refused, what a setting becomes, and how a winner's settings come into a config."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from metier.errors import InputError
from metier.stages import blend, train
from metier.training.model import FullMethod, QloraMethod
from metier.training.space import (
    WINNER,
    Dimension,
    Range,
    dimensions,
    of_blend,
    of_train,
    settled,
    with_settings,
)

RANGES = TypeAdapter(dict[str, Range])


def space(search: dict, training: train.Config | None = None) -> list[Dimension]:
    return dimensions(RANGES.validate_python(search), training or train.Config(), blend.Config())


def test_a_setting_varies_as_its_config_keeps_it():
    assert space(
        {
            "learning_rate": {"low": "1e-4", "high": 3e-3, "log": True},  # YAML reads 1e-4 as a word
            "epochs": {"low": 1, "high": 4},
            "weight_decay": {"low": 0, "high": 1},
            "method.rank": {"choices": [8, 16, 32]},
            "method.method": {"choices": ["lora", "qlora"]},
            "blend.retrieval_share": {"choices": [0, "0.5"]},
            "blend.task_weights.json": {"low": 0.5, "high": 4},
        }
    ) == [
        Dimension("learning_rate", 1e-4, 3e-3, log=True),
        Dimension("epochs", 1, 4, whole=True),
        Dimension("weight_decay", 0, 1),
        Dimension("method.rank", choices=(8, 16, 32)),
        Dimension("method.method", choices=("lora", "qlora")),
        Dimension("blend.retrieval_share", choices=(0.0, 0.5)),
        Dimension("blend.task_weights.json", 0.5, 4),
    ]


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ({"learning_rat": {"low": 1e-4, "high": 1e-3}}, "train has no setting 'learning_rat'; did you mean 'learning_rate'?"),
        ({"method.ranc": {"choices": [8, 16]}}, "train has no setting 'method.ranc'; did you mean 'method.rank'?"),
        ({"seed.rank": {"choices": [8, 16]}}, "train has no setting 'seed.rank'"),
        ({"blend.retrieval": {"low": 0, "high": 1}}, "did you mean 'blend.retrieval_share'?"),
        ({"learning_rate": {"low": 1e-4, "high": 2}}, "learning_rate can't be 2: Input should be less than or equal to 1"),
        ({"epochs": {"low": 1.5, "high": 3}}, "epochs can't be 1.5: Input should be a valid integer"),
        ({"method.rank": {"choices": [8, 0]}}, "method.rank can't be 0: Input should be greater than or equal to 1"),
        ({"packing": {"low": 1, "high": 2}}, "packing can't be 1"),
        ({"method.rslora": {"low": 0, "high": 1}}, "method.rslora is no number; list its values under choices"),
        ({"blend.task_weights": {"choices": [1, 2]}}, "blend.task_weights can't be 1"),
        ({"dev_questions": {"choices": [8, 16]}}, "trials are measured by dev_questions"),
        ({"blend.passages": {"choices": [1, 3]}}, "trials are measured by blend.passages"),
    ],
)  # fmt: skip
def test_what_a_stage_would_not_take_is_refused_in_one_line(search, says):
    with pytest.raises(ValueError, match="^search: ") as refusal:
        space(search)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_the_method_does_not_have_can_not_vary():
    with pytest.raises(ValueError, match=r"train has no setting 'method\.rank'"):
        space({"method.rank": {"choices": [8, 16]}}, train.Config(method=FullMethod()))


@pytest.mark.parametrize(
    ("span", "says"),
    [
        ({"low": 2, "high": 1}, "low is 2 and high 1: the first must be smaller"),
        ({"low": 1, "high": 1}, "the first must be smaller"),
        ({"low": 0, "high": 1, "log": True}, "a logarithmic range begins above 0"),
        ({"choices": [1]}, "at least 2 items"),
        ({"choices": [1, 1]}, "each value stands there once"),
        ({"low": 1, "hihg": 2}, "Extra inputs are not permitted|Field required"),
    ],
)
def test_a_range_that_is_none_is_refused(span, says):
    with pytest.raises(ValidationError, match=says):
        RANGES.validate_python({"learning_rate": span})


def test_settings_replace_their_fields_and_nothing_else():
    settings = {"learning_rate": 1e-3, "method.method": "qlora", "blend.task_weights.json": 3.0}
    before = train.Config(epochs=5)
    after = with_settings(before, of_train(settings))
    assert after == before.model_copy(update={"learning_rate": 1e-3, "method": QloraMethod()})
    weights = with_settings(blend.Config(), of_blend(settings)).task_weights
    assert weights == blend.Config().task_weights | {"json": 3.0}


def test_a_winners_settings_come_from_its_file(tmp_path):
    (tmp_path / WINNER).write_text(json.dumps({"settings": {"epochs": 7, "blend.seed": 3}}))
    assert settled(train.Config(), str(tmp_path), of_train) == train.Config(epochs=7)
    assert settled(blend.Config(), str(tmp_path), of_blend) == blend.Config(seed=3)


def test_a_folder_without_a_winner_and_a_winner_of_another_method_are_refused(tmp_path):
    with pytest.raises(InputError, match="takes the output of tune"):
        settled(train.Config(), str(tmp_path), of_train)
    (tmp_path / WINNER).write_text(json.dumps({"settings": {"method.rank": 8}}))
    with pytest.raises(InputError, match="found for other settings"):
        settled(train.Config(method=FullMethod()), str(tmp_path), of_train)
