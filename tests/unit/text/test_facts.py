"""Facts of API objects and of prose."""

from metier.records import ApiObject, Document, Parameter
from metier.text.apitext import api_markdown
from metier.text.facts import Fact, facts_of, is_stable_default


def api_document() -> Document:
    api = ApiObject(
        name="box.open_box",
        kind="function",
        signature="open_box(name, *, tries=3, mode='DEPRECATED', **more)",
        summary="Open a box by its name.",
        parameters=(
            Parameter(name="name", annotation="str", description="The name of the box."),
            Parameter(name="tries", annotation="int", default="3", description="How often it is tried. Defaults to 3."),
            Parameter(name="mode", default="'DEPRECATED'"),
            Parameter(name="**more", description="More options for the opening hinge."),
        ),
        returns="The open box.",
        example="open_box('a')",
    )
    return Document(
        uri=api.name, title=api.name, text=api_markdown(api, "It creaks."), kind="function", module="box", api=api
    )


def of_kind(facts: list[Fact], kind: str) -> list[Fact]:
    return [f for f in facts if f.kind == kind]


def test_api_facts_stand_word_for_word_in_the_document():
    document = api_document()
    facts = facts_of(document)
    (default,) = of_kind(facts, "default")
    assert (default.subject, default.detail, default.value) == ("box.open_box", "tries", "3")
    assert default.evidence == "- `tries` (int, default 3): How often it is tried. Defaults to 3."
    assert default.evidence in document.text
    assert [f.value for f in of_kind(facts, "type")] == ["str", "int"]
    assert of_kind(facts, "parameters")[0].value == "name, tries, mode, **more"
    assert of_kind(facts, "purpose")[0].value == "Open a box by its name."
    assert of_kind(facts, "returns")[0].value == "The open box."
    assert of_kind(facts, "example")[0].value == "open_box('a')"


def test_a_default_that_its_description_contradicts_is_no_fact():
    assert is_stable_default(Parameter(name="n", default="3", description="Defaults to 3."))
    assert is_stable_default(Parameter(name="n", default="1000", description="Defaults to 1,000."))
    assert is_stable_default(Parameter(name="n", default="'x'", description="Default is `x`."))
    assert is_stable_default(Parameter(name="n", default="None", description="Defaults to the number of cores."))
    assert not is_stable_default(Parameter(name="n", default="None", description="Defaults to 1."))
    assert not is_stable_default(Parameter(name="n", default="DEFAULT.VALUE"))
    assert not is_stable_default(Parameter(name="n", default="<computed>"))


def test_prose_gives_definitions_numbers_and_dates():
    text = """# Leave

A leave is a time in which no work is done.

## Length

A leave lasts 30 days. It was 20 or 25 days before.
```
x = 7
```
Version 1.2.3 of 2/4 tables.
"""
    facts = facts_of(Document(uri="a.md", title="Leave", text=text, effective="2025-01-01"))
    assert of_kind(facts, "purpose")[0] == Fact(
        "Leave",
        "purpose",
        "",
        "A leave is a time in which no work is done.",
        "A leave is a time in which no work is done.",
    )
    assert [(f.subject, f.detail, f.value) for f in of_kind(facts, "number")] == [
        ("Length", "A leave lasts ____ days.", "30")
    ]
    assert [(f.detail, f.value) for f in of_kind(facts, "date")] == [("effective", "2025-01-01")]
    assert all(f.evidence in text or f.kind == "date" for f in facts)
