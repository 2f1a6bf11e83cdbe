"""The two bases of settings: strict, frozen, and only one of them identity."""

from __future__ import annotations

import json

import pytest
from pydantic import Field, ValidationError

from metier.config import Resources, StageConfig, is_url, refuse_credentials


class Inner(StageConfig):
    limit: float = Field(0.5, gt=0)
    """How much."""


class Outer(StageConfig):
    words: tuple[str, ...] = ("a",)
    """Which."""
    inner: Inner = Inner()
    """More."""


def test_identity_holds_every_field_and_every_default():
    assert Outer().identity() == {"words": ["a"], "inner": {"limit": 0.5}}
    assert json.loads(json.dumps(Outer().identity())) == Outer().identity()


def test_a_default_that_is_spelt_out_is_the_same_identity():
    assert Outer(words=("a",), inner=Inner(limit=0.5)).identity() == Outer().identity()
    assert Outer(inner=Inner(limit=0.6)).identity() != Outer().identity()


@pytest.mark.parametrize("given", [{"word": ["a"]}, {"inner": {"limits": 1}}, {"inner": {"limit": 0}}, {"words": 7}])
def test_what_is_unknown_out_of_bounds_or_of_another_type_is_refused(given):
    with pytest.raises(ValidationError):
        Outer.model_validate(given)


def test_a_default_out_of_bounds_is_refused_too():
    class Careless(StageConfig):
        limit: int = Field(0, ge=1)

    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Careless()


def test_settings_do_not_change_under_a_stage():
    with pytest.raises(ValidationError, match="frozen"):
        Outer().words = ("b",)


def test_the_text_under_a_field_is_its_description():
    assert Inner.model_fields["limit"].description == "How much."


@pytest.mark.parametrize("given", [{"cpus": 0}, {"gpus": -1}, {"workers": 0}, {"batch_rows": 0}, {"machines": 1}])
def test_resources_have_bounds(given):
    with pytest.raises(ValidationError):
        Resources(**given)


def test_resources_have_no_identity():
    assert not hasattr(Resources(), "identity")


def test_a_url_is_told_from_a_path():
    assert is_url("s3://bucket/x")
    assert is_url("gs://bucket")
    assert not is_url("s3/x")
    assert not is_url("C://x")


@pytest.mark.parametrize(
    "folder",
    [
        "s3://KEY:SECRET@bucket/x",
        "s3://KEY:SEC/RET@bucket/x",
        "gs://user@bucket/x",
        "s3://KEY%3ASECRET%40bucket/x",
        "https://me:SECRET@host/x",
    ],
)
def test_a_key_in_a_url_is_refused(folder):
    with pytest.raises(ValueError, match="names no key and no user"):
        refuse_credentials(folder)


@pytest.mark.parametrize("folder", ["gs://anonymous@bucket/x", "s3://bucket/a@b", "folder/a@b"])
def test_what_only_looks_like_a_key_is_let_through(folder):
    assert refuse_credentials(folder) == folder


class Numbers(StageConfig):
    rank: int = 1
    """Whole."""
    rate: float = 1
    """Any."""
    end: int | float = 1
    """Either."""
    weights: dict[str, float] = {}
    """Several."""
    on: bool = False
    """No number."""
    value: bool | int = 0
    """May be both."""


@pytest.mark.parametrize("given", [{"rank": True}, {"rate": False}, {"end": True}, {"weights": {"a": 1, "b": True}}])
def test_true_and_false_are_no_numbers(given):
    with pytest.raises(ValidationError, match=f"{next(iter(given))}: true and false"):
        Numbers.model_validate(given)


def test_what_may_be_true_and_numbers_in_other_forms_are_taken():
    taken = Numbers.model_validate({"on": True, "value": True, "rank": "3", "rate": 2, "weights": {"a": 1}})
    assert (taken.on, taken.value, taken.rank, taken.rate, taken.weights) == (True, True, 3, 2.0, {"a": 1.0})


def test_resources_take_no_truth_for_a_number():
    with pytest.raises(ValidationError, match="workers: true and false"):
        Resources(workers=True)
