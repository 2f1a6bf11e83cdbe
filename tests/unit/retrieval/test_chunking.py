"""Passages: short, whole, and each one telling what it is about."""

from __future__ import annotations

import pytest

from metier.records import ApiObject, Document, Parameter
from metier.retrieval.chunking import passages_of
from metier.text.apitext import api_markdown

API = ApiObject(
    name="box.Box.open",
    kind="method",
    signature="open(name, tries=3)",
    summary="Open a box by its name.",
    parameters=(
        Parameter(
            name="name", annotation="str", description="The name. " + "It may hold many words of all kinds. " * 8
        ),
        Parameter(name="tries", annotation="int", default="3", description="How often."),
    ),
    returns="The open box.",
    example="box.open('a')\nbox.open('b')",
)
API_DOCUMENT = Document(
    uri=API.name,
    title=API.name,
    text=api_markdown(API, "It creaks a little.\n\nIt is made of wood."),
    api=API,
    split="dev",
)
PROSE = Document(
    uri="leave.md",
    title="Leave",
    effective="2025-01-01",
    text="# Leave\n\nA leave is free time.\n\n## Length\n\n"
    + "A leave lasts some days and weeks. " * 20
    + "\n\n### Sick\n\nNone.\n",
)


def test_the_first_passage_of_an_object_is_its_signature_and_summary():
    first = passages_of(API_DOCUMENT, 60)[0]
    assert first.text == "box.Box.open(name, tries=3): Open a box by its name."
    assert (first.uri, first.split, first.position, first.section) == (API.name, "dev", 0, "")
    assert first.parent_ids == (API_DOCUMENT.id,)


@pytest.mark.parametrize("document", [API_DOCUMENT, PROSE])
@pytest.mark.parametrize("max_words", [20, 40, 90])
def test_passages_are_short_and_name_their_document(document, max_words):
    passages = passages_of(document, max_words)
    assert [p.position for p in passages] == list(range(len(passages)))
    for passage in passages:
        assert document.title in passage.text
        assert len(passage.text.split()) <= max_words + 20  # a unit that is longer than its room is not cut


def test_nothing_of_an_object_is_lost():
    whole = " ".join(p.text for p in passages_of(API_DOCUMENT, 40))
    for said in (
        "It creaks a little.",
        "made of wood",
        "- `tries` (int, default 3): How often.",
        "The open box.",
        "box.open('b')",
    ):
        assert said in whole
    assert whole.count("It may hold many words of all kinds.") == 8


def test_a_long_signature_is_cut_after_a_parameter():
    names = [f"parameter_{i}=None" for i in range(200)]
    api = ApiObject(name="a.f", kind="function", signature=f"f({', '.join(names)})", summary="Do it all.")
    first = passages_of(Document(uri="a.f", title="a.f", text=api_markdown(api, ""), api=api), 40)[0]
    assert first.text.startswith("a.f(parameter_0=None, ")
    assert first.text.endswith(", ...): Do it all.")


def test_prose_is_cut_at_headings_and_keeps_the_way_to_them():
    passages = passages_of(PROSE, 60)
    assert passages[0].text == "Leave\nA leave is free time."
    assert passages[1].section == "Length"
    assert passages[-1].text == "Leave > Length > Sick\nNone."
    assert all(p.effective == "2025-01-01" for p in passages)
    assert " ".join(p.text for p in passages).count("A leave lasts some days and weeks.") == 20


def test_code_is_cut_between_lines_and_stays_fenced():
    code = "\n".join(f"step {i} of the very long listing" for i in range(30))
    document = Document(uri="a.md", title="Code", text=f"# Code\n\n```python\n{code}\n```\n")
    passages = passages_of(document, 50)
    assert len(passages) > 3
    assert all(p.text.count("```") == 2 for p in passages)
    assert "\n".join(p.text for p in passages).count("step") == 30


def test_a_passage_of_a_document_with_pages_names_its_own():
    text = "\f\n\n# Leave\n\nIt is free time.\n\n## Length\n\n\f\n\nIt lasts 30 days.\n\n\f\n\n## Pay\n\nIt is paid.\n"
    passages = passages_of(Document(uri="hr/leave.pdf", title="Leave", text=text), 60)
    assert [(p.uri, p.text) for p in passages] == [
        ("hr/leave.pdf#page=2", "Leave\nIt is free time."),
        ("hr/leave.pdf#page=3", "Leave > Length\nIt lasts 30 days."),
        ("hr/leave.pdf#page=4", "Leave > Pay\nIt is paid."),
    ]
    assert {p.uri for p in passages_of(PROSE)} == {"leave.md"}


def test_a_row_of_a_table_is_cut_from_others_and_stays_whole():
    rows = "\n\n".join(f"grade: {letter}\ndays: 30\nnote: paid in full" for letter in "ABCDEFGHIJ")
    passages = passages_of(Document(uri="days.csv", title="days", text=rows), 20)
    assert len(passages) > 3
    assert all(p.text.count("grade:") == p.text.count("days: ") == p.text.count("note:") for p in passages)
