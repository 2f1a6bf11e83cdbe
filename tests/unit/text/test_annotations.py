"""Types and defaults as text that is the same on every machine."""

# Older forms of a type are read too.
# ruff: noqa: UP006, UP007, UP035, UP045

import enum
import functools
import tempfile
from pathlib import Path
from typing import Annotated, Any, Callable, Dict, List, Literal, Optional, Union

import pytest

from metier.text.annotations import COMPUTED, default_text, type_text


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (Optional[int], "int | None"),
        (Union[None, str, List[str]], "str | List[str] | None"),
        (int | None, "int | None"),
        ("Optional[pathlib.Path]", "Path | None"),
        (Optional["Forward"], "Forward | None"),  # noqa: F821
        (Literal["a", "b"], "Literal['a', 'b']"),
        (Annotated[int, "metres"], "int"),
        (Dict[str, Any], "Dict[str, Any]"),
        (Path, "Path"),
        ("not a type!", ""),
    ],
)
def test_a_type_is_short_and_has_no_module(annotation, text):
    assert type_text(annotation) == text


def test_a_long_type_loses_its_arguments():
    deep = Callable[[Dict[str, List[int]], Dict[str, List[float]], Dict[str, List[bytes]]], Dict[str, List[int]]]
    assert type_text(deep) == "Callable[[Dict, Dict, Dict], Dict[str, List]]"
    assert type_text(Union[tuple(Dict[str, List[k]] for k in (int, str, bytes, float))]) == "Dict[str, List]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (0.5, "0.5"),
        ("fast", "'fast'"),
        (Colour.RED, "Colour.RED"),
        (dict, "{}"),
        (len, "len"),
        (object(), COMPUTED),  # an address
        (str(Path.home() / "x"), COMPUTED),
        (tempfile.gettempdir() + "/y", COMPUTED),
        (functools.partial(int, base=2), COMPUTED),
        ("x" * 300, COMPUTED),
    ],
)
def test_a_default_is_its_source_text_or_nothing_that_only_this_machine_knows(value, text):
    assert default_text(value) == text
