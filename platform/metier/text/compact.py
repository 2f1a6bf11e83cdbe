"""Frozen dataclasses as short JSON and back, for what is made once and read many times: values without names, sets as lists."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")


def packed(value: Any) -> str:
    """A dataclass of texts, numbers, tuples, frozensets, plain mappings and other dataclasses as one line of ASCII."""
    return json.dumps(value, separators=(",", ":"), default=_plain)


def unpacked(kind: type[T], text: str) -> T:
    """The dataclass of this type that `packed` wrote."""
    return cast(T, _builder(cast(Hashable, kind))(json.loads(text)))


def _plain(value: Any) -> Any:
    """What JSON has no form for, in one that it has."""
    if isinstance(value, frozenset):
        return sorted(value)
    return [getattr(value, name) for name in _names(cast(Hashable, type(value)))]


@functools.cache
def _names(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


@functools.cache
def _builder(hint: Any) -> Callable[[Any], Any]:
    """What makes a value of a type from plain JSON; types are taken apart once."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        kind, hints = cast(type, hint), typing.get_type_hints(hint)
        fields = [(field.name, _builder(hints[field.name])) for field in dataclasses.fields(hint)]
        return lambda row: kind(**{name: build(part) for (name, build), part in zip(fields, row, strict=True)})
    if origin is tuple and args[-1] is not Ellipsis:
        parts = [_builder(arg) for arg in args]
        return lambda row: tuple(build(part) for build, part in zip(parts, row, strict=True))
    if origin in (tuple, frozenset):
        item = _builder(args[0])
        return lambda row: origin(map(item, row))
    return lambda value: value
