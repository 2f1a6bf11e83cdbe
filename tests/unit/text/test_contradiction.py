"""Two statements: which can't both hold."""

from __future__ import annotations

import pytest

from metier.text.contradiction import contradiction
from metier.text.statements import statement

ASKED = "How long does Halden Bank keep invoices?"


def judged(a: str, b: str, question: str = "", other: str | None = None) -> str:
    one, two = statement(question, a), statement(question if other is None else other, b)
    assert bool(contradiction(one, two)) == bool(contradiction(two, one))
    return contradiction(one, two)


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ("The limit is 100 units.", "The limit is 250 units.", "100 against 250"),
        ("256", "`512`", "256 against 512"),
        ("1", "1.5", "1 against 1.5"),
        ("It is True.", "It is False by default.", "true against false"),
        ("A branch reports its reserve.", "A branch does not report its reserve.", "one denies what the other says"),
        ("The form is signed before the visit.", "The form is signed after the visit.", "one says the opposite of the other"),
        ("A second signature is mandatory.", "A second signature is optional.", "required against optional"),
        ("A waiver is revocable.", "A waiver is irrevocable.", "one says the opposite of the other"),
        ("It holds since 3 March 2025.", "It holds since 2025-04-01.", "3 March 2025 against 2025-04-01"),
        ("Shipping is free if the order exceeds 50 euros.", "Shipping is free if the order exceeds 90 euros.",
         "50 euros against 90 euros"),
        ("The loan has a fixed rate.", "The loan has a variable rate.", "one says the opposite of the other"),
        ("A trial is successful.", "A trial is unsuccessful.", "one says the opposite of the other"),
        ("The promise is binding.", "The promise is non-binding.", "one denies what the other says"),
        ("In the records of the clinic, the pulse rises.", "The pulse falls.", "one says the opposite of the other"),
    ],
)  # fmt: skip
def test_these_exclude_each_other(a, b, why):
    assert judged(a, b, "What holds here?") == why


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("The limit is 1,000 units.", "1000 units are the limit."),
        ("The parcel weighs 5 kg.", "The parcel weighs 5000 g."),
        ("The notice period is 30 days.", "The notice period is one month."),
        ("The limit is 100 units.", "The limit is 100 units, reviewed after 12 months."),
        ("Each voucher is reviewed after 12 months.", "A larger tariff needs the consent of 2 officers."),
        ("It applies a function to each row.", "It applies a function to each row of the data set."),
        ("", "The limit is 100 units."),
        ("The annual fee is 40 euros.", "The late fee is 25 euros."),
        ("The minimum deposit is 100 euros.", "The maximum deposit is 900 euros."),
        ("The fee is 40 euros.", "For students, the fee is 20 euros."),
        ("The fee is 40 euros if the order is placed online.", "The fee is 50 euros if the order is placed by phone."),
        ("For orders above 50 euros the fee is 2 euros.", "For orders above 90 euros the fee is 1 euro."),
        ("A second signature is not mandatory.", "A second signature is optional."),
        ("You may sign the form.", "You must sign the form."),
        ("Entry is allowed if the visitor is over 18 years.", "Entry is forbidden if the visitor is under 16 years."),
        ("Entry is allowed if the visitor is over 18 years.", "Entry is allowed if the distance is over 2 km."),
        ("Entry is allowed if the visitor is over 18 years.", "Entry is forbidden."),
        ("A trial is not successful.", "A trial is unsuccessful."),
        ("It is a non-negative integer.", "It is an integer."),
        ("An electronic form is enough for a lease.", "An electronic form is not enough for a will."),
    ],
)
def test_these_may_both_hold(a, b):
    assert judged(a, b) == ""


@pytest.mark.parametrize(
    ("other", "answer", "excludes"),
    [
        ("What is the retention period for invoices at Halden Bank?", "Invoices must be retained for 8 years.", True),
        ("What is the retention period for invoices at Halden Bank?", "8 years.", True),
        ("What is the retention period for invoices at Halden Bank?", "Invoices must be retained for 120 months.", False),
        (ASKED, "Invoices are kept for 8 years after the end of the business year.", True),
        ("What is the retention period for invoices at Torvik Bank?", "Invoices must be retained for 8 years.", False),
        ("What is the retention period for payslips at Halden Bank?", "Payslips must be retained for 8 years.", False),
        ("After how many years does Halden Bank audit invoices?", "Invoices are audited after 8 years.", False),
    ],
)  # fmt: skip
def test_another_question_of_the_same_thing_is_compared(other, answer, excludes):
    assert bool(judged("Halden Bank keeps invoices for 10 years.", answer, ASKED, other)) is excludes


def test_code_names_must_be_the_same():
    asked = "What is the default of `{}` in `f`?"
    assert judged("It is 256.", "It is 512.", asked.format("a"), asked.format("b")) == ""
    assert judged("It is 256.", "It is 512.", asked.format("a"), asked.format("a")) == "256 against 512"


def test_a_constant_is_a_value_of_its_own_question_only():
    asked, default = "What does `shuffle` of `f` do?", "What is the default of `shuffle` in `f`?"
    assert judged("If True, it shuffles rows.", "The default of shuffle is False.", asked, default) == ""


def test_a_bare_value_says_what_was_asked_for():
    asked = "How long can parcels be collected at Halden?"
    other = "What is the collection period for parcels of guests at Halden?"
    said = "Parcels can be collected at the counter for 30 days."
    assert judged(said, "14 days.", asked, other) == "30 days against 14 days"
    assert judged(said, "30 days.", asked, other) == ""
    annual, late = (
        "What is the annual fee of a card at Halden Bank?",
        "What late fee has a card of a customer at Halden Bank?",
    )
    assert judged("The annual fee of a card paid at the counter is 40 euros.", "25 euros.", annual, late) == ""
