"""Types and default values of a signature as short, stable text: no address, no machine path, no module prefix."""

from __future__ import annotations

import ast
import enum
import functools
import inspect
import re
import tempfile
from pathlib import Path
from typing import Any

COMPUTED = "<computed>"  # a default that is made when the call is made, or that only this machine knows
MAX_CHARACTERS = 60
_EMPTY_OF: dict[Any, str] = {list: "[]", dict: "{}", set: "set()", tuple: "()"}
_FACTORY = re.compile(r"<factory>|<.* at 0x[0-9a-f]+>|<object object")


def type_text(annotation: Any) -> str:
    """`int | None` for `typing.Optional[int]`; arguments are left out where the whole would be long. Empty for none."""
    if annotation is inspect.Parameter.empty or annotation is None:
        return ""
    source = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    try:
        tree = ast.parse(source.replace("<class '", "").replace("'>", ""), mode="eval").body
    except SyntaxError:
        return ""
    for depth in (4, 2, 1, 0):
        text = _rendered(tree, depth)
        if len(text) <= MAX_CHARACTERS:
            return text
    return ""


def _rendered(node: ast.expr, depth: int) -> str:
    match node:
        case ast.Name(id=name):
            return "None" if name == "NoneType" else name
        case ast.Attribute(attr=name):
            return "None" if name == "NoneType" else name
        case ast.Constant(value=str(text)):
            return _quoted(text, depth)
        case ast.Constant(value=value):
            return "..." if value is Ellipsis else repr(value)
        case ast.Call(func=function, args=[ast.Constant(value=str(inner)), *_]) if (
            _rendered(function, 0) == "ForwardRef"
        ):
            return _quoted(inner, depth)
        case ast.UnaryOp(operand=operand):  # ~T, a type variable
            return _rendered(operand, depth)
        case ast.BinOp(left=left, right=right):
            return _union([_rendered(left, depth), _rendered(right, depth)])
        case ast.List(elts=elements):
            return "[" + ", ".join(_rendered(e, depth - 1) for e in elements) + "]"
        case ast.Subscript(value=value, slice=inner):
            return _subscript(_rendered(value, depth), inner, depth)
    return "Any"


def _quoted(text: str, depth: int) -> str:
    """A type that was written as text."""
    try:
        return _rendered(ast.parse(text, mode="eval").body, depth)
    except SyntaxError:
        return text


def _subscript(name: str, inner: ast.expr, depth: int) -> str:
    arguments = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Literal":
        return "Literal[" + ", ".join(ast.unparse(a) for a in arguments) + "]"
    if name == "Annotated":
        return _rendered(arguments[0], depth)
    if name == "Optional":
        return _union([_rendered(arguments[0], depth), "None"])
    if name == "Union":
        return _union([_rendered(a, depth) for a in arguments])
    if depth <= 0:
        return name
    return f"{name}[" + ", ".join(_rendered(a, depth - 1) for a in arguments) + "]"


def _union(parts: list[str]) -> str:
    """The members once each, None last."""
    members = list(dict.fromkeys(m for part in parts for m in _members(part)))
    return " | ".join([m for m in members if m != "None"] + (["None"] if "None" in members else []))


def _members(text: str) -> list[str]:
    """The members of a union's text, split only outside brackets."""
    found, open_brackets = [""], 0
    for character in text:
        open_brackets += (character in "[(") - (character in "])")
        if character == "|" and not open_brackets:
            found.append("")
        else:
            found[-1] += character
    return [m.strip() for m in found]


def default_text(value: Any) -> str | None:
    """The source text of a default value; None where there is none, COMPUTED where no text holds on every machine."""
    if value is inspect.Parameter.empty:
        return None
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, type) or inspect.isroutine(value):
        return _EMPTY_OF.get(value, value.__name__) if isinstance(value, type) else value.__name__
    if isinstance(value, functools.partial):
        return COMPUTED
    try:
        text = repr(value)
    except Exception:  # repr is the package's own code and may raise anything
        return COMPUTED
    if _FACTORY.search(text) or "\n" in text or any(place in text for place in _machine_places()):
        return COMPUTED
    if len(text) <= MAX_CHARACTERS or (
        isinstance(value, str | tuple | list | dict) and len(text) <= 4 * MAX_CHARACTERS
    ):
        return text
    return COMPUTED if isinstance(value, str | tuple | list | dict) else f"{type(value).__name__}(...)"


@functools.cache
def _machine_places() -> tuple[str, ...]:
    return (str(Path.home()), str(Path.cwd()), tempfile.gettempdir(), str(Path(inspect.__file__).parent))
