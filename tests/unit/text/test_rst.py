"""reStructuredText as Markdown: its structure, Sphinx's own words, and what a file must not be able to do."""

from __future__ import annotations

import pytest

from metier.text.rst import rst_to_markdown


def markdown(source: str) -> str:
    return rst_to_markdown(source)[0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Leave\n=====\n\nText.\n\nPay\n---\n\nMore.\n\nSick\n====\n", "# Leave\n\nText.\n\n## Pay\n\nMore.\n\n# Sick"),
        ("A ``code`` and *em* and `a link <https://x>`_.", "A `code` and em and a link."),
        ("- a\n- b\n\n#. x\n#. y\n", "- a\n- b\n\n1. x\n2. y"),
        ("Run::\n\n   x = 1\n", "Run:\n\n```\nx = 1\n```"),
        (".. code-block:: python\n\n   x = 1\n", "```\nx = 1\n```"),
        ("term\n   meaning\n", "term\n\nmeaning"),
        ("== ==\na  b\n== ==\n1  2\n== ==\n", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        (".. note:: Watch out.\n", "Note\n\nWatch out."),
        (".. a comment\n\nText.", "Text."),
    ],
)
def test_structure_is_kept(source, expected):
    assert markdown(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("See :class:`~ray.data.Dataset` and :ref:`the guide <guide>`.", "See ray.data.Dataset and the guide."),
        (".. versionadded:: 2.0\n   It is *new*.\n", "versionadded: 2.0\n\nIt is new."),
        (
            ".. tab-set::\n   :name: x\n\n   .. tab-item:: Linux\n\n      Run it.\n",
            "tab-set:\n\ntab-item: Linux\n\nRun it.",
        ),
        (".. toctree::\n   :maxdepth: 2\n\n   a\n   b\n\nText.\n", "Text."),
    ],
)
def test_of_sphinxs_own_words_the_content_stays(source, expected):
    assert markdown(source) == expected


def test_a_field_list_at_the_top_or_under_the_title_says_what_holds():
    fields = ":effective: 2025-01-31\n:Version: 2\n"
    for source in (f"{fields}\nLeave\n=====\n\nText.\n", f"Leave\n=====\n\n{fields}\nText.\n"):
        assert rst_to_markdown(source) == ("# Leave\n\nText.", {"effective": "2025-01-31", "version": "2"})
    assert rst_to_markdown("Leave\n=====\n\nText.\n\n:effective: 2025-01-31\n")[1] == {}


def test_a_file_can_neither_include_nor_pass_through(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the password")
    source = (
        f".. include:: {secret}\n\n.. csv-table:: t\n   :file: {secret}\n\n.. raw:: html\n\n   <b>raw</b>\n\nText.\n"
    )
    text = markdown(source)
    assert "password" not in text
    assert "<b>" not in text
    assert text.endswith("Text.")


@pytest.mark.parametrize("source", ["", "*", "`", "===", "Title\n==", "== ==\na", "|x|", ".. |a| replace:: |a|\n\n|a|"])
def test_broken_text_breaks_nothing(source, capfd):
    assert isinstance(markdown(source), str)
    assert capfd.readouterr() == ("", "")
