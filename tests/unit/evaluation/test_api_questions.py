"""Questions about an API object that tests of the whole exam do not reach: names, omissions, what is absent."""

from __future__ import annotations

import json

import pytest

from metier.evaluation.api_questions import MOST_NAMED, api_questions
from metier.evaluation.vocabulary import vocabulary_of
from metier.records import ApiObject, Document, Parameter
from metier.text.apitext import api_markdown

SUMMARY = "Lift the heavy cover from a wooden crate."


def document(name="lib.Crate.open", kind="method", summary=SUMMARY, parameters=(), **fields) -> Document:
    api = ApiObject(name=name, kind=kind, signature=f"{name.rsplit('.', 1)[1]}()", summary=summary,
                    parameters=parameters, **fields)  # fmt: skip
    return Document(uri=name, title=name, text=api_markdown(api, ""), kind=kind, module="lib", split="dev", api=api)


def asked(one: Document, *others: Document):
    """The questions about `one` in a corpus with `others`, by task."""
    found = api_questions(one, one.api, vocabulary_of([one, *others]), "I don't know.", 0)
    return {q.task: q for q in found}


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("lib.Crate.unlatch_it", "lib.Crate.unlatch_it|Crate.unlatch_it|unlatch_it"),
        ("lib.Crate.unfasten", "lib.Crate.unfasten|Crate.unfasten|unfasten"),
        ("lib.Crate.map", "lib.Crate.map|Crate.map"),  # `map` alone is a word that any answer may hold
    ],
)
def test_a_name_may_be_shortened_as_long_as_it_is_no_ordinary_word(name, spellings):
    assert asked(document(name))["which"].points == (spellings,)


def test_a_summary_that_holds_the_name_is_no_riddle():
    assert "which" not in asked(document("lib.Crate.lift"))


def test_deprecated_private_and_variable_parameters_are_not_asked_about():
    parameters = (
        Parameter(name="old", default="1", description="Deprecated. The speed of the crane above."),
        Parameter(name="_inner", default="2", description="The speed of the crane above."),
        Parameter(name="**more", default="3", description="All that the crane above may take."),
    )
    assert not {"default", "json_default", "parameter"} & set(asked(document(parameters=parameters)))


@pytest.mark.parametrize(("count", "asks"), [(1, False), (2, True), (MOST_NAMED, True), (MOST_NAMED + 1, False)])
def test_parameters_are_listed_where_they_are_few_and_more_than_one(count, asks):
    names = tuple(f"p{i}" for i in range(count))
    found = asked(document(parameters=tuple(Parameter(name=n) for n in names)))
    assert ("parameters" in found) is asks
    if asks:
        assert found["parameters"].points == names
        assert json.loads(found["json_parameters"].reference)["parameters"] == list(names)


def test_a_default_that_is_a_value_is_that_value_in_json():
    found = asked(document(parameters=(Parameter(name="tries", default="5"),)))
    assert json.loads(found["json_default"].reference) == {"parameter": "tries", "default": 5}
    found = asked(document(parameters=(Parameter(name="mode", default="Mode.FAST"),)))
    assert json.loads(found["json_default"].reference)["default"] == "Mode.FAST"


def test_two_parameters_of_one_description_can_not_be_told_apart():
    told = "The colour that the crate shall have."
    twins = tuple(Parameter(name=n, description=told) for n in ("paint", "varnish"))
    assert "parameter" not in asked(document(parameters=twins))
    assert "parameter" in asked(document(parameters=twins[:1]))


def test_a_class_is_asked_for_a_method_of_its_neighbours_that_it_has_not():
    crate = document("lib.Crate", "class")
    found = asked(crate, document("lib.Crate.open"), document("lib.Barrel.roll_over"))
    assert not found["absent_method"].answerable
    assert "lib.Crate.roll_over" in found["absent_method"].prompt
    assert "absent_method" not in asked(crate, document("lib.Crate.open"))


def test_every_question_names_its_object_and_keeps_its_side():
    one = document(
        parameters=(Parameter(name="tries", annotation="int", default="5"),), returns="The crate without its cover."
    )
    for question in api_questions(one, one.api, vocabulary_of([one]), "I don't know.", 0):
        assert (question.split, question.uri, question.root_id) == ("dev", one.uri, one.id)
        assert question.task == "which" or one.uri in question.prompt
