from __future__ import annotations

from metier.records import ApiObject, Document, Parameter
from metier.text.apitext import api_markdown
from metier.text.authoring import Recipe, corpus_of, pairs_of
from metier.text.phrasings import Chooser

RECIPE = Recipe(
    max_per_document=100, unanswerable_per_document=0, difference_share=0.0, json_share=0.0, value_share=0.0,
    abstention="I do not know.",
)  # fmt: skip


def document(name: str, summary: str, *parameters: Parameter, split: str = "train", example: str = "") -> Document:
    signature = f"{name.rsplit('.', 1)[-1]}()"
    api = ApiObject(
        name=name, kind="function", signature=signature, summary=summary, parameters=parameters, example=example
    )
    return Document(
        uri=name, title=name, text=api_markdown(api, ""), kind="function", module="lib", split=split, api=api
    )


def pairs(one: Document, *others: Document, **changes: object):
    recipe = Recipe(**{f: getattr(RECIPE, f) for f in Recipe.__dataclass_fields__} | changes)  # type: ignore[arg-type]
    return pairs_of(one, recipe, corpus_of([one, *others]), Chooser(0))


def test_a_default_that_says_something_goes_before_none():
    knobs = [Parameter(name=f"p{i}", annotation="int", default="7" if i == 3 else "None") for i in range(6)]
    told = pairs(document("lib.f", "Does a thing with care.", *knobs), max_per_document=2)
    assert [p.task for p in told] == ["purpose", "default"]
    assert "`7`" in told[1].answer


def test_which_is_asked_only_where_one_object_fits():
    one, other = (
        document("lib.f", "Does a thing with care."),
        document("lib.g", "Does a thing with care.", split="final"),
    )
    assert "which" in {p.task for p in pairs(one)}
    assert "which" not in {p.task for p in pairs(one, other)}


def test_what_a_prompt_can_not_hold_is_left_out():
    knobs = [Parameter(name=f"p{i}") for i in range(13)]
    tasks = {p.task for p in pairs(document("lib.f", "Does a thing with care.", *knobs, example="word " * 61))}
    assert not {"parameters", "example"} & tasks
    tasks = {p.task for p in pairs(document("lib.f", "Does a thing with care.", *knobs[:12], example="word " * 60))}
    assert {"parameters", "example"} <= tasks


def test_an_object_is_compared_with_a_sibling_of_its_split_only():
    one = document("lib.f", "Does a thing with care.")
    near, far = document("lib.g", "Undoes the thing again."), document("lib.h", "Hides it well.", split="final")
    told = [p for p in pairs(one, near, far, difference_share=1.0) if p.task == "difference"]
    assert len(told) == 1
    assert "`lib.g`: Undoes the thing again." in told[0].answer or "lib.g" in told[0].question
    assert [p for p in pairs(one, far, difference_share=1.0) if p.task == "difference"] == []


def test_absent_parameters_come_from_other_objects():
    one = document("lib.f", "Does a thing with care.", Parameter(name="own"))
    other = document("lib.g", "Undoes the thing again.", Parameter(name="foreign"))
    told = [p for p in pairs(one, other, unanswerable_per_document=20) if p.task == "unanswerable"]
    assert {p.answer for p in told} == {"I do not know."}
    assert any("`foreign`" in p.question for p in told)
    assert not any("`own`" in p.question for p in told)
