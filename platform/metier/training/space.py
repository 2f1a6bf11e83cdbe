"""The search space of tuning: which settings of training and of the blend vary, and between which values.

A setting is named by its place: `learning_rate` and `method.rank` are train's, `blend.retrieval_share` is the blend's. A
range is good when the stage's own config takes its ends; nothing here repeats a bound. Knows neither Optuna nor Ray.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, model_validator

from metier.config import StageConfig
from metier.errors import InputError

WINNER = "winner.json"  # what a search found
Value = bool | int | float | str
C = TypeVar("C", bound=StageConfig)
BLEND = "blend."  # what the settings of the blend begin with
MEASURE = {
    "checkpoints_per_epoch",
    "dev_questions",
    "dev_max_tokens",
    "passages",
    "max_tokens",
    "blend.passages",
    "blend.validation_dialogues",
}
"""Settings by which trials are measured: where they differ, scores can't be compared."""


class Between(StageConfig):
    """Any number from `low` to `high`; whole numbers where the setting is one."""

    low: int | float
    """Smallest value."""
    high: int | float
    """Largest value."""
    log: bool = False
    """Drawn evenly on a logarithmic scale: for what matters by its order of magnitude, such as a learning rate."""

    @model_validator(mode="after")
    def _in_order(self) -> Between:
        if not self.low < self.high:
            raise ValueError(f"low is {self.low} and high {self.high}: the first must be smaller")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}: a logarithmic range begins above 0")
        return self


class OneOf(StageConfig):
    """One of some values."""

    choices: tuple[Value, ...] = Field(min_length=2, max_length=1000)
    """The values."""

    @model_validator(mode="after")
    def _each_once(self) -> OneOf:
        if len({repr(value) for value in self.choices}) < len(self.choices):
            raise ValueError("choices: each value stands there once")
        return self


def _tag(value: Any) -> str:
    keys = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, BaseModel) else ()
    return "OneOf" if "choices" in keys else "Between"


Range = Annotated[Annotated[Between, Tag("Between")] | Annotated[OneOf, Tag("OneOf")], Discriminator(_tag)]


@dataclass(frozen=True)
class Dimension:
    """One setting of a space: `choices`, or the numbers from `low` to `high`."""

    name: str
    low: float = 0
    high: float = 0
    log: bool = False
    whole: bool = False  # whole numbers alone
    choices: tuple[Value, ...] = ()


def with_settings(config: C, settings: Mapping[str, Value]) -> C:
    """The config with some fields replaced, each named by its dotted place. Raises ValidationError where one does not fit,
    KeyError or TypeError where a place does not exist."""
    tree = config.model_dump()
    for place, value in settings.items():
        *parents, last = place.split(".")
        node = tree
        for part in parents:
            node = node[part]
        node[last] = value
    return type(config).model_validate(tree)


def of_train(settings: Mapping[str, Value]) -> dict[str, Value]:
    """Those of the settings that are train's."""
    return {name: value for name, value in settings.items() if not name.startswith(BLEND)}


def of_blend(settings: Mapping[str, Value]) -> dict[str, Value]:
    """Those of the settings that are the blend's, by their names there."""
    return {name.removeprefix(BLEND): value for name, value in settings.items() if name.startswith(BLEND)}


def settled(config: C, found: str, own: Callable[[Mapping[str, Value]], dict[str, Value]]) -> C:
    """The config with those of the winner's settings that `own` names. `found`: the folder of a finished search.

    Raises InputError where it holds none, or where the config does not take them.
    """
    try:
        settings = json.loads((Path(found) / WINNER).read_text(encoding="utf-8"))["settings"]
    except FileNotFoundError:
        raise InputError(f"{found}: it has no {WINNER}; the input settings takes the output of tune") from None
    try:
        return with_settings(config, own(settings))
    except (ValidationError, KeyError, TypeError) as error:
        raise InputError(f"{Path(found) / WINNER}: it was found for other settings than these ({error})") from None


def dimensions(search: Mapping[str, Range], train: StageConfig, blend: StageConfig) -> list[Dimension]:
    """The space around two configs. Raises ValueError with one line for what the stages would not take."""
    return [_dimension(name, span, train, blend) for name, span in search.items()]


def _dimension(name: str, span: Between | OneOf, train: StageConfig, blend: StageConfig) -> Dimension:
    if name in MEASURE:
        raise ValueError(
            f"search: trials are measured by {name}, so where it varied their scores could not be compared"
        )
    config, place = (blend, name.removeprefix(BLEND)) if name.startswith(BLEND) else (train, name)
    ends = span.choices if isinstance(span, OneOf) else (span.low, span.high)
    taken = [_taken(config, place, name, value, blend is config) for value in ends]
    if isinstance(span, OneOf):
        return Dimension(name, choices=tuple(taken))
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in taken):
        raise ValueError(f"search: {name} is no number; list its values under choices")
    low, high = (float(value) for value in taken)
    return Dimension(name, low, high, span.log, whole=all(isinstance(value, int) for value in taken))


def _taken(config: StageConfig, place: str, name: str, value: Value, is_blend: bool) -> Value:
    """A value as the config keeps it."""
    stage = "blend" if is_blend else "train"
    try:
        node: Any = with_settings(config, {place: value}).model_dump()
        for part in place.split("."):
            node = node[part]
    except (KeyError, TypeError):
        raise ValueError(_unknown(config, name, stage)) from None
    except ValidationError as error:
        fault = error.errors()[0]
        if fault["type"] == "extra_forbidden":
            raise ValueError(_unknown(config, name, stage)) from None
        raise ValueError(f"search: {name} can't be {value!r}: {fault['msg']}") from None
    if not isinstance(node, bool | int | float | str):
        raise ValueError(f"search: {name} is no single value, so it can't vary")
    return node


def _unknown(config: StageConfig, name: str, stage: str) -> str:
    prefix = BLEND if stage == "blend" else ""
    near = difflib.get_close_matches(name, [prefix + leaf for leaf in _leaves(config.model_dump())], n=1, cutoff=0.5)
    near = [one for one in near if one != name]  # it is there, and can't be searched
    return f"search: {stage} has no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _leaves(tree: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"
