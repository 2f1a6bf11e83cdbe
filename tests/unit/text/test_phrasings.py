from __future__ import annotations

import json

import pytest

from metier.text.facts import Fact
from metier.text.phrasings import (
    ANSWERS,
    QUESTIONS,
    Chooser,
    absent_question,
    difference_pair,
    pair_of,
    styles_of,
    which_pair,
)

DEFAULT = Fact("lib.Cache.put", "default", "ttl", "None", "- `ttl` (float | None, default None): Seconds to live.")
PURPOSE = Fact("lib.Cache", "purpose", "", "Keeps values near.", "lib.Cache(): Keeps values near.")
KINDS = ("purpose", "default", "type", "parameter", "parameters", "returns", "example", "module", "number")


@pytest.mark.parametrize("kind", KINDS)
def test_every_wording_of_every_style_is_filled_in_and_holds_the_value(kind):
    for seed in range(40):
        fact = Fact("lib.f", kind, "ttl", "value-1", "evidence with value-1")
        for style in styles_of(fact):
            pair = pair_of(fact, style, Chooser(seed), prose=False)
            assert "value-1" in pair.answer
            assert "{" not in pair.question.replace('{"', "")
            assert pair.task == ("json" if style == "json" else kind)


def test_a_seed_chooses_the_same_wording_again_and_seeds_differ():
    told = [pair_of(DEFAULT, "sentence", Chooser(seed), prose=False) for seed in range(30)]
    assert told == [pair_of(DEFAULT, "sentence", Chooser(seed), prose=False) for seed in range(30)]
    assert len({p.question for p in told}) > 5
    assert len({p.answer for p in told}) > 2


def test_json_answers_are_bare_objects_with_the_keys_that_were_asked_for():
    for value, held in (("None", None), ("3", 3), ("'auto'", "auto"), ("True", True), ("MODE.FAST", "MODE.FAST")):
        pair = pair_of(Fact("f", "default", "ttl", value, ""), "json", Chooser(0), prose=False)
        answer = json.loads(pair.answer)
        assert answer == {"parameter": "ttl", "default": held}
        assert all(f'"{key}"' in pair.question for key in answer)


def test_the_bare_value_is_nothing_but_the_value():
    assert pair_of(DEFAULT, "value", Chooser(3), prose=False).answer == "None"


def test_prose_is_asked_for_by_its_heading():
    pair = pair_of(PURPOSE, "sentence", Chooser(0), prose=True)
    assert '"lib.Cache"' in pair.question


def test_which_turns_a_purpose_round():
    pair = which_pair(PURPOSE, "lib", Chooser(0))
    assert "Keeps values near." in pair.question
    assert "lib.Cache" not in pair.question
    assert "`lib.Cache`" in pair.answer


def test_a_difference_holds_both_and_rests_on_both():
    other = Fact("lib.Store", "purpose", "", "Keeps values far.", "lib.Store(): Keeps values far.")
    pair = difference_pair(PURPOSE, other, Chooser(0))
    for part in (PURPOSE, other):
        assert part.subject in pair.question
        assert part.value in pair.answer
        assert part.evidence in pair.evidence


def test_an_absent_parameter_is_asked_for_like_a_present_one():
    for seed in range(20):
        assert "`depth`" in absent_question("lib.f", "depth", Chooser(seed))
    assert "lib.f" in absent_question("lib.f", "", Chooser(0))


def test_every_kind_has_questions_and_answers():
    assert set(QUESTIONS) == set(ANSWERS)
    assert all(len(set(options)) == len(options) >= 3 for options in QUESTIONS.values())
