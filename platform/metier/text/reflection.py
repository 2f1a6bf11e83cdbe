"""The public API of an installed Python package as documents, read through `inspect`.

A document is a public function, class or method: what `__all__` names (or, without it, what the module itself defines),
and the public methods of the classes among them. Parameters that begin with an underscore are left out. The package is
imported, so its code runs: call this in a worker. The same version of a package gives the same documents on every
machine. What can't be read is a Rejection.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import inspect
import re
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from metier.records import ApiObject, Document, Parameter, Rejection, rejection
from metier.text.annotations import default_text, type_text
from metier.text.apitext import api_markdown
from metier.text.docstrings import Docstring, parse_docstring

MODULES = {"ray": ("ray", "ray.data", "ray.train", "ray.tune", "ray.serve")}  # others: the package itself
_STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
Kind = Literal["function", "method", "class"]


@dataclasses.dataclass(frozen=True)
class _Found:
    """A public object under the name by which its users import it."""

    name: str
    module: str
    kind: Kind
    value: Any
    owner: type | None = None


def modules_of(package: str, modules: Sequence[str] = ()) -> tuple[str, ...]:
    """The modules that are read: those given, or the ones known for the package, or the package itself."""
    return tuple(modules) or MODULES.get(package, (package,))


def reflect(
    package: str, version: str, modules: Sequence[str] = (), *, stage: str = "ingest"
) -> Iterator[Document | Rejection]:
    """Documents of a package's public objects, by module and name; a rejection for each that can't be one."""
    public = list(_public_objects(modules_of(package, modules)))
    first = _first_names([found for found, fault in public if not fault])
    for found, fault in public:
        stub = Document(
            uri=found.name, title=found.name, text="", kind=found.kind, module=found.module, version=version
        )
        fault = fault or _unfit(found, first[id(_code_of(found.value))])
        if fault:
            yield rejection(stub, stage, *fault)
            continue
        try:
            yield _document(found, version)
        except (ValueError, TypeError) as error:
            yield rejection(stub, stage, "no_signature", str(error).split(" at 0x")[0])


def _first_names(public: Sequence[_Found]) -> dict[int, str]:
    """The one name for each object: where it was defined goes before where it is inherited or only bound again."""

    def distance(found: _Found) -> bool:
        plain = _code_of(found.value)
        expected = getattr(plain, "__qualname__", getattr(plain, "__name__", ""))
        return not found.name.endswith("." + expected)

    names: dict[int, str] = {}
    for found in sorted(public, key=distance):  # a stable sort: among equals the first module wins
        names.setdefault(id(_code_of(found.value)), found.name)
    return names


def _public_objects(modules: Sequence[str]) -> Iterator[tuple[_Found, tuple[str, str] | None]]:
    """Every public object with None, or with (reason, evidence) where it could not even be imported."""
    for module_name in modules:
        module, fault = _attempt(functools.partial(importlib.import_module, module_name))
        if fault:
            yield _Found(module_name, module_name, "class", None), fault
            continue
        for name in _public_names(module):
            value, fault = _attempt(functools.partial(getattr, module, name))
            found = _Found(f"{module_name}.{name}", module_name, _kind_of(value), value)
            if fault:
                yield found, fault
            elif inspect.isroutine(value):
                yield found, None
            elif isinstance(value, type):
                yield found, None
                yield from ((method, None) for method in _methods(found))


def _attempt(call: Callable[[], Any]) -> tuple[Any, tuple[str, str] | None]:
    """The value, or why it can't be had. Importing runs a package's own code, which may raise anything."""
    try:
        return call(), None
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        return None, ("not_importable", f"{type(error).__name__}: {first}")


def _public_names(module: types.ModuleType) -> list[str]:
    names = getattr(module, "__all__", None)
    if names is None:
        own = (n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__)
        names = [n for n in own if inspect.isroutine(vars(module)[n]) or isinstance(vars(module)[n], type)]
    return sorted({n for n in names if not n.startswith("_")})


def _kind_of(value: Any) -> Kind:
    return "class" if isinstance(value, type) else "function"


def _methods(found: _Found) -> Iterator[_Found]:
    """The public methods that a class has from its own package. Errors and enumerations have none worth a document."""
    owner = found.value
    if issubclass(owner, BaseException | enum.Enum):
        return
    package = found.module.split(".")[0]
    for name in sorted(n for n in dir(owner) if not n.startswith("_")):
        definer = next((c for c in owner.__mro__ if name in vars(c)), None)
        value = inspect.getattr_static(owner, name)
        plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if definer and definer.__module__.split(".")[0] == package and inspect.isfunction(plain):
            yield _Found(f"{found.name}.{name}", found.module, "method", value, owner)


def _unfit(found: _Found, first: str) -> tuple[str, str] | None:
    """Why an object gets no document of its own."""
    plain = _code_of(found.value)
    if first != found.name:
        return "alias", f"the same object as {first}"
    if _is_deprecated(plain) or (found.owner and _is_deprecated(found.owner)):
        return "deprecated", "marked as deprecated by its package"
    documentation = _documentation(found)
    if len(documentation.split()) < 3:
        return "undocumented", documentation or "no docstring"
    if re.match(r"(?i)\W*deprecated\b", documentation):
        return "deprecated", documentation.splitlines()[0]
    return None


def _is_deprecated(value: Any) -> bool:
    """Whether Ray's own annotation says so; the name beside the mark tells it from one that a base class carries."""
    mark = getattr(getattr(value, "_annotated_type", None), "value", "")
    return mark == "Deprecated" and getattr(value, "_annotated", None) == getattr(value, "__name__", "")


def _code_of(value: Any) -> Any:
    """The function behind a class or static method."""
    return value.__func__ if isinstance(value, classmethod | staticmethod) else value


def _documentation(found: _Found) -> str:
    """An object's own docstring. A class does not take its base's, nor the one that dataclasses write by themselves."""
    value = _code_of(found.value)
    raw = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
    generated = (
        isinstance(value, type) and dataclasses.is_dataclass(value) and str(raw).startswith(f"{value.__name__}(")
    )
    return inspect.cleandoc(raw) if isinstance(raw, str) and not generated else ""


def _document(found: _Found, version: str) -> Document:
    parts = parse_docstring(_documentation(found))
    described = dict(parts.parameters)
    if found.kind == "class":
        described = parse_docstring(found.value.__init__.__doc__ or "").parameters | described
    signature = _signature(found)
    api = ApiObject(
        name=found.name,
        kind=found.kind,
        signature=_bare(found.name.rsplit(".", 1)[-1], signature),
        summary=parts.summary,
        parameters=tuple(_parameter(p, described) for p in signature.parameters.values()),
        returns=_returns(parts, signature),
        example=parts.example,
    )
    text = api_markdown(api, parts.description)
    return Document(
        uri=found.name, title=found.name, text=text, kind=found.kind, module=found.module, version=version, api=api
    )


def _signature(found: _Found) -> inspect.Signature:
    """The signature as its users call it, without `self` or `cls`. Raises ValueError where Python knows none."""
    if found.kind == "class" and issubclass(found.value, enum.Enum):
        raise ValueError("an enumeration is not called")
    signature = inspect.signature(_code_of(found.value))
    shown = list(signature.parameters.values())
    if (
        found.kind == "method"
        and not isinstance(found.value, staticmethod)
        and shown
        and shown[0].name in ("self", "cls")
    ):
        shown = shown[1:]
    return signature.replace(parameters=[p for p in shown if not p.name.startswith("_")])


def _bare(name: str, signature: inspect.Signature) -> str:
    """`map(fn, *, compute=None)`: no annotation, each default as its text."""
    parts: list[str] = []
    last: Any = None
    for p in signature.parameters.values():
        if last is p.POSITIONAL_ONLY and p.kind is not p.POSITIONAL_ONLY:
            parts.append("/")
        if p.kind is p.KEYWORD_ONLY and last not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            parts.append("*")
        star = _STARS.get(p.kind, "")
        default = default_text(p.default)
        parts.append(star + p.name + (f"={default}" if default is not None else ""))
        last = p.kind
    if last is inspect.Parameter.POSITIONAL_ONLY:
        parts.append("/")
    return f"{name}({', '.join(parts)})"


def _parameter(p: inspect.Parameter, described: dict[str, str]) -> Parameter:
    star = _STARS.get(p.kind, "")
    return Parameter(
        name=star + p.name,
        annotation=type_text(p.annotation),
        default=default_text(p.default),
        description=described.get(p.name, ""),
    )


def _returns(parts: Docstring, signature: inspect.Signature) -> str:
    """What the documentation says is returned, or else the annotated type."""
    if parts.returns:
        return parts.returns
    kind = type_text(signature.return_annotation)
    return "" if kind in ("", "None") else f"`{kind}`"
