"""Docstrings as parts: Google sections, Sphinx marks, code."""

from metier.text.docstrings import parse_docstring

FULL = """Read rows, e.g. from a file. It is lazy.

See :class:`~ray.data.Dataset` and :ref:`the guide
<the-guide>`; ``None`` is fine.

.. note::
    Needs :meth:`Store.open`.

.. seealso::

    :meth:`~Store.close`
        Closes it.

.. testcode::
    :hide:

    secret = 1

.. testcode::

    rows = read("a")

    rows.show()

.. testoutput::

    42

.. _target: https://example.org

Args:
    path: Where the rows are. If ``path``
        is a folder:

        * all files are read
    limit (int): How many.
    **options: More.

Returns:
    The rows.

**PublicAPI (beta):** This API is in beta and may change
before becoming stable.
"""


def test_the_parts_of_a_docstring():
    parts = parse_docstring(FULL)
    assert parts.summary == "Read rows, e.g. from a file."
    assert parts.returns == "The rows."
    assert list(parts.parameters) == ["path", "limit", "options"]
    assert parts.parameters["path"] == "Where the rows are. If `path` is a folder: * all files are read"
    assert parts.parameters["limit"] == "How many."


def test_marks_become_markdown_and_notices_go():
    text = parse_docstring(FULL).description
    assert "It is lazy." in text
    assert "See `Dataset` and the guide; `None` is fine." in " ".join(text.split())
    assert "Note: Needs `Store.open`." in text
    assert "See also: `close`" in text
    for gone in ("PublicAPI", "becoming stable", "testcode", "secret", "42", "example.org", "rows.show"):
        assert gone not in text


def test_the_example_is_the_first_code_that_is_shown():
    assert parse_docstring(FULL).example == 'rows = read("a")\n\nrows.show()'


def test_a_doctest_session_loses_its_prompts_and_output():
    parts = parse_docstring("Add.\n\nExamples:\n    >>> add(1,\n    ...     2)\n    3\n    >>> add(2, 2)\n    4\n")
    assert parts.example == "add(1,\n    2)\nadd(2, 2)"


def test_an_example_block_that_is_not_indented_belongs_to_its_heading():
    parts = parse_docstring("Go.\n\nExample:\n\n.. code-block:: python\n\n        go()\n\nArguments:\n    x: it\n")
    assert parts.example == "go()"
    assert parts.parameters == {"x": "it"}


def test_an_empty_docstring_has_no_parts():
    assert parse_docstring("").summary == ""
    assert parse_docstring("").parameters == {}
