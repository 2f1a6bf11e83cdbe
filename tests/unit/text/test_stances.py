"""The side that a sentence takes, negations resolved."""

from __future__ import annotations

import pytest

from metier.text.stances import bounds, stance


@pytest.mark.parametrize(
    ("sentence", "duty"),
    [
        ("Consent is mandatory.", "required"),
        ("Consent is not mandatory.", "optional"),
        ("Consent is not optional.", "required"),
        ("The form need not be signed.", "optional"),
        ("Smoking is allowed.", "allowed"),
        ("It is not forbidden to smoke.", "allowed"),
        ("Staff must not smoke.", "forbidden"),
        ("Staff may not smoke.", "forbidden"),
        ("The form has to be signed.", "required"),
        ("A is required and B is optional.", ""),
        ("The book is red.", ""),
    ],
)
def test_duties_and_permissions(sentence, duty):
    assert stance(sentence).duty == duty


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ("It is mandatory.", "It is optional.", "required against optional"),
        ("It is allowed.", "It is forbidden.", "allowed against forbidden"),
        ("It increases the risk.", "It lowers the risk.", "one says the opposite of the other"),
        ("Take it before meals.", "Take it after meals.", "one says the opposite of the other"),
        ("It is switched on by default.", "It is disabled by default.", "one says the opposite of the other"),
        ("It is accepted.", "It is not accepted.", "one says the opposite of the other"),
    ],
)
def test_opposites_exclude_each_other(a, b, why):
    assert stance(a).opposes(stance(b)) == stance(b).opposes(stance(a)).replace(*reversed_sides(why)) == why


def reversed_sides(why: str) -> tuple[str, str]:
    one, _, other = why.partition(" against ")
    return (f"{other} against {one}", why) if other else (why, why)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("It is not mandatory.", "It is optional."),
        ("You must sign.", "You may sign."),
        ("It does not increase.", "It decreases."),
        ("At least 5 are needed.", "At most 5 are needed."),
        ("It holds since May.", "It holds until June."),
        ("It is required, and no fee is due.", "It is optional."),
    ],
)
def test_these_are_no_opposites(a, b):
    assert stance(a).opposes(stance(b)) == stance(b).opposes(stance(a)) == ""


@pytest.mark.parametrize(
    ("a", "b", "denied"),
    [
        ("It reports the reserve.", "It does not report the reserve.", True),
        ("It reports the reserve.", "It never reports the reserve.", True),
        ("It keeps 5 rows.", "It keeps no more than 5 rows.", False),
        ("It returns rows.", "It returns rows that don't match.", False),
        ("It says whether the run ended.", "It says whether or not the run ended.", False),
        ("It stores the plan.", "It stores the plan, not the data.", False),
        ("It is signed.", "No, it is not signed.", True),
    ],
)
def test_a_denial_of_the_main_clause_is_seen(a, b, denied):
    assert stance(a).denied_by(stance(b)) is stance(b).denied_by(stance(a)) is denied


def test_bounds_are_known_from_question_or_answer():
    assert bounds("What is the maximum? It is 5.") == {"bound": "down"}
    assert bounds("It is valid since May until June.") == {}
