"""Reflection on a package that the test writes, and on Ray itself."""

from __future__ import annotations

import sys
import textwrap

import pytest

from metier.records import Document, Rejection
from metier.text.reflection import reflect

SOURCE = '''
"""A package."""
import enum
from dataclasses import dataclass, field
from typing import Optional

__all__ = ["Box", "Kind", "copy_box", "missing", "old", "open_box", "quiet", "alias_of_open", "VERSION", "Plain"]
VERSION = "1"


def open_box(name: str, *, tries: int = 3, _inner: int = 0, path: Optional[str] = None, **more: int) -> "Box":
    """Open a box by its name.

    Args:
        name: The name of the box.
        tries: How often it is tried. Defaults to 3.
        path: Where it is.
    """


alias_of_open = open_box


def copy_box(box, /, to=object()) -> bool:
    """Copy the box somewhere else."""


def quiet():
    pass


def old():
    """DEPRECATED: use open_box."""


class Kind(enum.Enum):
    """The kind of a box."""
    A = 1


@dataclass
class Plain:
    """A plain record of things."""
    size: int = 2
    items: list = field(default_factory=list)


class _Base:
    def weigh(self, unit="kg"):
        """Weigh the box in a unit."""


class Box(_Base):
    """A box that holds things.

    Args:
        colour: Its colour on the outside.
    """

    def __init__(self, colour="red"):
        """Not this text."""

    def close(self):
        """Close the box for good."""

    @classmethod
    def make(cls, n: int = 1):
        """Make a box from nothing."""

    @staticmethod
    def self_test(self=None):
        """Test whether boxes work here."""

    def _hidden(self):
        """Never seen by anyone."""
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    name = "metier_test_boxes"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(SOURCE))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def found(package):
    rows = list(reflect(package, "1.2"))
    documents = {r.uri.removeprefix(package + "."): r for r in rows if isinstance(r, Document)}
    reasons = {
        r.row.split('"uri": "')[1].split('"')[0].removeprefix(package + "."): r
        for r in rows
        if isinstance(r, Rejection)
    }
    return documents, reasons


def test_public_objects_and_their_methods_become_documents(found):
    documents, _ = found
    assert set(documents) == {
        "Box",
        "Box.close",
        "Box.make",
        "Box.self_test",
        "Box.weigh",
        "Plain",
        "copy_box",
        "open_box",
    }
    assert {documents[n].kind for n in ("Box", "Box.close", "open_box")} == {"class", "method", "function"}
    assert documents["open_box"].version == "1.2"


def test_every_other_object_is_rejected_with_its_reason(found):
    _, reasons = found
    assert {name: r.reason for name, r in reasons.items()} == {
        "Kind": "no_signature",
        "alias_of_open": "alias",
        "missing": "not_importable",
        "old": "deprecated",
        "quiet": "undocumented",
    }
    assert "open_box" in reasons["alias_of_open"].evidence


def test_a_signature_shows_names_and_defaults_but_no_types_and_nothing_private(found):
    documents, _ = found
    assert documents["open_box"].api.signature == "open_box(name, *, tries=3, path=None, **more)"
    assert documents["Box"].api.signature == "Box(colour='red')"
    assert documents["Box.make"].api.signature == "make(n=1)"
    assert documents["Box.self_test"].api.signature == "self_test(self=None)"
    assert documents["copy_box"].api.signature == "copy_box(box, /, to=<computed>)"
    assert documents["Plain"].api.signature == "Plain(size=2, items=<computed>)"


def test_parameters_join_what_the_signature_and_the_docstring_say(found):
    documents, _ = found
    tries = documents["open_box"].api.parameters[1]
    assert (tries.name, tries.annotation, tries.default) == ("tries", "int", "3")
    assert tries.description == "How often it is tried. Defaults to 3."
    assert "- `tries` (int, default 3): How often it is tried. Defaults to 3." in documents["open_box"].text
    assert documents["open_box"].api.returns == "`Box`"


def test_a_module_that_fails_to_import_is_a_rejection(tmp_path, monkeypatch):
    (tmp_path / "metier_test_broken.py").write_text("raise RuntimeError('wrong moon')")
    monkeypatch.syspath_prepend(str(tmp_path))
    (row,) = reflect("metier_test_broken", "1")
    assert isinstance(row, Rejection)
    assert row.reason == "not_importable"
    assert "wrong moon" in row.evidence


def test_ray_gives_hundreds_of_documents_without_an_address_or_a_path_of_this_machine():
    rows = list(reflect("ray", "0", ["ray", "ray.data"]))
    documents = {r.uri: r for r in rows if isinstance(r, Document)}
    assert len(documents) > 200
    batches = documents["ray.data.Dataset.iter_batches"]
    assert "batch_size" in {p.name for p in batches.api.parameters}
    whole = "\n".join(d.text for d in documents.values())
    assert " at 0x" not in whole
    assert "site-packages" not in whole
    assert [r.id for r in reflect("ray", "0", ["ray", "ray.data"])] == [r.id for r in rows]
