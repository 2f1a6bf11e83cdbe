"""The lines that documents, passages and facts share."""

from __future__ import annotations

import pytest

from metier.records import ApiObject, Parameter
from metier.text.apitext import (
    api_markdown,
    leading_sentences,
    parameter_head,
    parameter_line,
    qualified_signature,
    short_name,
)
from metier.text.sections import sections

TRIES = Parameter(name="tries", annotation="int | None", default="None", description="How often. At most ten times.")
API = ApiObject(
    name="box.Box.open",
    kind="method",
    signature="open(name, tries=None)",
    summary="Open a box.",
    parameters=(TRIES,),
    returns="The box.",
    example="box.open('a')",
)


def test_a_signature_stands_under_the_whole_name():
    assert short_name("box.Box.open") == "open"
    assert short_name("open") == "open"
    assert qualified_signature(API) == "box.Box.open(name, tries=None)"


@pytest.mark.parametrize(
    ("parameter", "head"),
    [
        (TRIES, "- `tries` (int | None, default None)"),
        (Parameter(name="a"), "- `a`"),
        (Parameter(name="a", annotation="str"), "- `a` (str)"),
        (Parameter(name="a", default="''"), "- `a` (default '')"),
    ],
)
def test_a_head_says_what_is_known_of_a_parameter(parameter, head):
    assert parameter_head(parameter) == head
    assert parameter_line(parameter).startswith(head)


def test_a_long_description_is_cut_after_a_whole_sentence():
    head = parameter_head(TRIES)
    assert parameter_line(TRIES) == f"{head}: How often. At most ten times."
    assert parameter_line(TRIES, max_words=6) == f"{head}: How often. At most ten times."
    assert parameter_line(TRIES, max_words=5) == f"{head}: How often."
    assert parameter_line(TRIES, max_words=1) == f"{head}: How often."  # one sentence at least


def test_leading_sentences_are_never_reordered_or_skipped():
    assert leading_sentences("A b c. A very long one that does not fit. D.", 5) == "A b c."
    assert leading_sentences("", 5) == ""


def test_a_document_has_a_section_for_each_thing_that_is_known():
    text = api_markdown(API, "It creaks.\n\n\n\nA little.")
    assert [s.heading for s in sections(text)] == ["box.Box.open", "Parameters", "Returns", "Example"]
    assert "```python\nopen(name, tries=None)\n```\n\nOpen a box.\n\nIt creaks.\n\nA little.\n\n## Parameters" in text
    assert parameter_line(TRIES) in text.split("\n")
    assert text.endswith("```python\nbox.open('a')\n```\n")


def test_what_is_not_known_leaves_no_empty_section():
    bare = ApiObject(name="box.Box", kind="class", signature="Box()", summary="")
    assert api_markdown(bare, "") == "# box.Box\n\n```python\nBox()\n```\n"
