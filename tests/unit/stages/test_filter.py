"""Each reason code with a row that has earned it, contradictions across rows, and nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pydantic import ValidationError

from metier.records import Dialogue, Rejection
from metier.retrieval.prompt import ABSTENTION
from metier.stages.filter import STAGE, Config, abstains, contradicted, operator
from metier.stages.supersede import Superseded
from metier.text.claims import claim_of
from tests.fixtures.stage_alone import dialogue, run_alone

ASKED, SAID = "What is the limit of a branch?", "The limit is 100 units."
EVIDENCE = "The limit is 100 units for each branch."


def row(question: str = ASKED, answer: str = SAID, **fields) -> Dialogue:
    return dialogue(question, answer, **({"evidence": EVIDENCE} | fields))


def judged(one: Dialogue, **settings) -> str:
    """The reason code, empty for a kept row."""
    (out,) = operator(Config(**settings))([one])
    return out.reason if isinstance(out, Rejection) else ""


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (row("Limit?"), "too_short"),
        (row(answer=" "), "too_short"),
        (row(answer="units " * 300), "too_long"),
        (row("why " * 500), "too_long"),
        (row(answer="The limit is 100 units\ufffd."), "broken_encoding"),
        (row(answer="As an AI language model I can't know."), "refusal"),
        (row(answer="the limit is " * 6), "repetition"),
        (row(effective="soon"), "invalid_date"),
        (row(superseded="2025-01-01"), "outdated"),
        (row(effective="2025-07-01"), "not_yet_effective"),
        (row("How many units may a branch hold?", "The limit of a branch."), "question_not_answered"),
        (row(answer="The limit is 250 units."), "number_not_in_source"),
        (row(answer="Shuffled workers prefetch asynchronously."), "ungrounded"),
        (row("Welche Grenze gilt für eine Filiale der Bank?", "Die Grenze beträgt hundert Einheiten."), "language"),
        (row(answer="We use cookies to improve your visit."), "boilerplate"),
        (row(evidence=""), "ungrounded"),
    ],
)
def test_each_fault_has_its_reason(one, reason):
    assert judged(one, as_of="2025-06-30", languages=["en"]) == reason


@pytest.mark.parametrize(
    "one",
    [
        row(),
        row(answer="`100`"),
        row(answer=ABSTENTION, evidence=""),
        row("How many people wrote the rule?", "That is not written anywhere.", evidence="", task="unanswerable"),
        row(evidence="", source="production"),
        row(answer="The limit is 250 units.", reviewed="edited"),
        row(superseded="2025-07-01", effective="2025-06-30"),
    ],
)
def test_what_is_sound_passes(one):
    assert judged(one, as_of="2025-06-30") == ""


def test_without_a_day_nothing_is_outdated():
    assert judged(row(superseded="1999-01-01")) == ""
    with pytest.raises(ValidationError, match="ISO 8601"):
        Config(as_of="30.6.2025")


def test_an_unknown_language_is_refused():
    with pytest.raises(ValidationError, match="'zz' is no language"):
        Config(languages=["zz"])


def test_what_was_made_from_a_superseded_document_goes_with_it():
    newer = Superseded(root_id="r", uri="old.md", by_id="n", by_uri="new.md", by_title="New", day="2025-01-01",
                       similarity=0.9, same_title=True)  # fmt: skip
    for as_of, gone in (("", True), ("2025-01-01", True), ("2024-12-31", False)):
        (out,) = operator(Config(as_of=as_of), {"r": newer})([row(root_id="r")])
        assert isinstance(out, Rejection) is gone
        if isinstance(out, Rejection):
            assert out.reason == "outdated"
            assert "superseded since 2025-01-01 by new.md (n, New)" in out.evidence
    (kept,) = operator(Config(), {"r": newer})([row(root_id="other")])
    assert isinstance(kept, Dialogue)


def lost(*rows: Dialogue) -> set[str]:
    gone = contradicted([claim_of(one, answers=not abstains(one)) for one in rows], 64)
    return {one.answer for one in rows if one.id in gone}


def test_of_contradicting_answers_the_better_standing_wins():
    old, new = row(answer="100 units", effective="2024-01-01"), row(answer="250 units", effective="2025-01-01")
    assert lost(old, new) == lost(new, old) == {"100 units"}
    assert lost(row(answer="100 units", reviewed="accepted"), row(answer="250 units")) == {"250 units"}
    assert lost(row(answer="100 units", superseded="2025-01-01"), row(answer="250 units")) == {"100 units"}


def test_where_nothing_tells_which_is_right_both_go():
    assert lost(row(answer="100 units"), row(answer="250 units")) == {"100 units", "250 units"}


def test_an_answer_wins_against_an_abstention():
    assert lost(row(), row(answer=ABSTENTION)) == {ABSTENTION}


def test_other_questions_and_agreeing_answers_stay():
    assert lost(row("What is the limit of `a`?"), row("What is the limit of `b`?", "The limit is 3 units.")) == set()
    assert lost(row("Is it -1 here?", "Yes, 4."), row("Is it 1 here?", "Yes, 5.")) == set()
    assert lost(row(), row("what is the LIMIT of a branch", "A branch has a limit of 100 units.")) == set()


@effort(deadline=None, max_examples=60)
@given(
    st.lists(
        st.builds(row, st.text(max_size=30), st.text(max_size=40), effective=st.sampled_from(["", "2025-01-01", "x"]))
    )
)
def test_every_row_is_kept_or_rejected(rows):
    out = list(operator(Config(as_of="2025-06-30"))(rows))
    assert [o.record_id if isinstance(o, Rejection) else o.id for o in out] == [r.id for r in rows]


def test_the_stage_keeps_the_order_and_names_the_other_row(ray_cluster, tmp_path):
    rows = [
        row(),
        row(answer="The limit is 250 units.", evidence="The limit is 250 units."),
        row("Who signs a transfer?", "Two officers.", evidence="Two officers sign."),
        row("Why?"),
        row(answer="The limit is 999 units."),
    ]
    made = [run_alone(STAGE, Config(), tmp_path / str(n), batch_rows=n, dialogues=rows) for n in (1, 64)]
    assert made[0].fingerprint == made[1].fingerprint
    assert [d.id for d in made[0].records(Dialogue)] == [rows[2].id]
    rejected = {r.record_id: r for r in made[0].records(Rejection, "rejected")}
    assert rejected[rows[0].id].evidence.startswith(f"contradicts {rows[1].id} (100 against 250)")
    assert rejected[rows[4].id].reason == "number_not_in_source"
    assert made[0].manifest.counts.rejected == {"contradictory": 2, "number_not_in_source": 1, "too_short": 1}


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_rows_with_one_id_only_the_faulty_one_goes(tmp_path, order):
    rows = [row(id="x"), row("Limit?", id="x")]
    made = run_alone(STAGE, Config(), tmp_path, dialogues=rows[::order])
    assert [one.question for one in made.records(Dialogue)] == [ASKED]
    assert [one.reason for one in made.records(Rejection, "rejected")] == ["too_short"]
