"""Each reason code with a row that has earned it, contradictions across rows, and nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pydantic import ValidationError

from metier.errors import InputError, StepError
from metier.inference.engines import HttpEngine
from metier.inference.judges import LlmJudge, NliJudge
from metier.lineage.journey import journey
from metier.models import ModelSource
from metier.records import Dialogue, Rejection
from metier.retrieval.embedding import EmbedderSource
from metier.retrieval.prompt import ABSTENTION
from metier.stages.filter import CONFLICTS, JUDGED, STAGE, Config, operator
from metier.stages.supersede import Superseded
from metier.text.claims import Contradiction
from tests.fixtures.endpoint import answering
from tests.fixtures.nli_model import make_nli
from tests.fixtures.stage_alone import as_table, dialogue, run_alone

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


@pytest.fixture
def lost(tmp_path):
    """The answers that go because of others."""

    def run(*rows: Dialogue, **settings) -> set[str]:
        made = run_alone(STAGE, Config(**settings), tmp_path / str(len(list(tmp_path.iterdir()))), dialogues=list(rows))
        gone = {r.record_id for r in made.records(Rejection, "rejected")}
        assert gone == {id_ for one in made.records(Contradiction, CONFLICTS) for id_, _ in one.evidence()}
        return {one.answer for one in rows if one.id in gone}

    return run


def open_row(answer: str, **fields) -> Dialogue:
    return row(answer=answer, reviewed="accepted", **fields)


def test_of_contradicting_answers_the_better_standing_wins(lost):
    old, new = (open_row(f"{n} units", effective=day) for n, day in ((100, "2024-01-01"), (250, "2025-01-01")))
    assert lost(old, new) == lost(new, old) == {"100 units"}
    assert lost(row(answer="100 units", reviewed="accepted"), row(answer="250 units", evidence="250 units")) == {
        "250 units"
    }
    assert lost(open_row("100 units", superseded="2025-01-01"), open_row("250 units")) == {"100 units"}


def test_where_nothing_tells_which_is_right_both_go(lost):
    assert lost(open_row("100 units"), open_row("250 units")) == {"100 units", "250 units"}


def test_an_answer_wins_against_an_abstention(lost):
    assert lost(row(), row(answer=ABSTENTION)) == {ABSTENTION}


def test_other_questions_and_agreeing_answers_stay(lost):
    assert (
        lost(
            open_row("100 units", question="What is the limit of `a`?"),
            open_row("3 units", question="What is the limit of `b`?"),
        )
        == set()
    )
    assert lost(open_row("Yes, 4.", question="Is it -1 here?"), open_row("Yes, 5.", question="Is it 1 here?")) == set()
    assert lost(row(), row("what is the LIMIT of a branch", "A branch has a limit of 100 units.")) == set()


def test_a_row_that_the_input_holds_twice_is_no_contradiction_of_itself(lost):
    own = open_row("The limit is 100 units. The limit is 250 units.")
    assert lost(own, own) == set()
    assert lost(own, own, open_row("The limit is 300 units.")) == {own.answer, "The limit is 300 units."}


def test_a_question_that_many_ask_is_compared_with_the_best_alone(lost):
    same = [open_row("100 units", root_id=f"r{i}") for i in range(40)]
    odd = open_row("250 units", effective="2025-01-01")
    assert lost(*same, odd, max_sharing=2) == {"100 units"}


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
    (conflict,) = made[0].records(Contradiction, CONFLICTS)
    assert {conflict.first, conflict.second} == {rows[0].id, rows[1].id}
    assert (conflict.by, conflict.wins, conflict.found_by) == ("expert", "", "rules")


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_rows_with_one_id_only_the_faulty_one_goes(tmp_path, order):
    rows = [row(id="x"), row("Limit?", id="x")]
    made = run_alone(STAGE, Config(), tmp_path, dialogues=rows[::order])
    assert [one.question for one in made.records(Dialogue)] == [ASKED]
    assert [one.reason for one in made.records(Rejection, "rejected")] == ["too_short"]


def test_the_way_of_a_row_tells_which_other_one_it_contradicts(tmp_path):
    rows = [open_row("100 units"), open_row("250 units", effective="2025-01-01")]
    given = as_table(tmp_path / "given", rows, Dialogue)
    made = run_alone(STAGE, Config(), tmp_path, dialogues=given)
    (stop,) = journey([made], rows[1].id).stops
    assert (stop.kept, stop.made, stop.lost) == (1, 0, {})
    (_, stop) = journey([given, made], rows[0].id).stops
    assert (stop.made, stop.lost) == (0, {"contradictory": 1})
    assert stop.losses[0].evidence.startswith(f"contradicts {rows[1].id} (")
    assert "which is newer (effective 2025-01-01)" in stop.losses[0].evidence


VALVE = "Which colour has the valve?"
AMBER, COBALT = "The valve is amber.", "The valve is cobalt."


def painted(answer: str, question: str = VALVE, **fields) -> Dialogue:
    return dialogue(question, answer, source="production", **fields)


@pytest.fixture(scope="module")
def nli(tmp_path_factory):
    return ModelSource(str(make_nli(tmp_path_factory.mktemp("nli"))))


def evidence_of(made) -> dict[str, str]:
    return {r.record_id: r.evidence for r in made.records(Rejection, "rejected")}


def test_an_nli_model_adds_what_rules_do_not_see(tmp_path, nli):
    rows = [painted(AMBER, effective="2025-01-01"), painted(COBALT), painted(AMBER, task="factual")]
    plain = run_alone(STAGE, Config(), tmp_path / "plain", dialogues=rows)
    assert plain.manifest.counts.kept == 3
    assert not plain.path(JUDGED).exists()
    made = run_alone(STAGE, Config(judge=NliJudge()), tmp_path / "nli", dialogues=rows, judge=nli)
    told = evidence_of(made)
    assert set(told) == {rows[1].id, rows[2].id}  # the third is as old as the second
    assert f"contradicts {rows[0].id} (contradiction" in told[rows[1].id] or rows[2].id in told[rows[1].id]
    assert f"says NLI model {nli.fingerprint}" in told[rows[1].id]
    assert AMBER in told[rows[1].id]
    assert COBALT in told[rows[1].id]
    assert made.json(JUDGED) == {"asked": 2, "yes": 2, "no": 0}


def test_a_judge_never_takes_back_what_rules_found(tmp_path, nli):
    rows = [open_row("100 units"), open_row("250 units")]
    made = run_alone(STAGE, Config(judge=NliJudge()), tmp_path, dialogues=rows, judge=nli)
    assert made.manifest.counts.kept == 0
    assert made.json(JUDGED)["asked"] == 0


def test_a_language_model_is_asked_about_what_is_open_and_unclear_counts_as_no(tmp_path):
    def reply(asked: str) -> str:
        if "amber" in asked and "cobalt" in asked:
            return "yes A1 B1"
        return "perhaps" if "crimson" in asked else "no"

    rows = [painted(answer) for answer in (AMBER, COBALT, "The valve is crimson.")]
    with answering(reply) as url:
        judge = LlmJudge(engine=HttpEngine(base_url=url, model="oracle"))
        made = run_alone(STAGE, Config(judge=judge), tmp_path, dialogues=rows)
    told = evidence_of(made)
    assert set(told) == {rows[0].id, rows[1].id}
    assert f"(yes to {judge.template}, says language model oracle)" in told[rows[0].id]
    assert made.json(JUDGED) == {"asked": 3, "yes": 1, "no": 0, "unclear": 2, "failed": 0}
    (conflict,) = made.records(Contradiction, CONFLICTS)
    assert {conflict.first_sentence, conflict.second_sentence} == {AMBER, COBALT}


def test_the_closest_pairs_are_asked_about_first(tmp_path):
    rows = [
        painted(answer) for answer in (AMBER, COBALT, "Nobody has ever painted one of those, though somebody could.")
    ]
    asked = []
    with answering(lambda text: asked.append(text) or "no") as url:
        judge = LlmJudge(engine=HttpEngine(base_url=url, model="oracle"), max_pairs=1)
        made = run_alone(STAGE, Config(judge=judge), tmp_path, dialogues=rows)
    assert made.json(JUDGED)["asked"] == len(asked) == 1
    assert AMBER in asked[0]
    assert COBALT in asked[0]


def test_a_broken_judge_stops_the_run(tmp_path):
    with answering(lambda _: None) as url:
        judge = LlmJudge(engine=HttpEngine(base_url=url, model="oracle", max_attempts=1))
        with pytest.raises(StepError, match="1 of 1 replies failed"):
            run_alone(STAGE, Config(judge=judge), tmp_path, dialogues=[painted(AMBER), painted(COBALT)])


@pytest.mark.parametrize("judge", [NliJudge(), LlmJudge()])
def test_a_judge_without_a_model_is_refused_at_once(tmp_path, judge):
    with pytest.raises(InputError, match="needs a model: give --judge, or judge.judge=none"):
        run_alone(STAGE, Config(judge=judge), tmp_path, dialogues=[painted(AMBER)])


def test_with_an_embedder_questions_in_other_words_are_compared(tmp_path):
    filler = [
        painted(f"The {word} is amber.", f"Which colour has the {word}?") for word in ("lamp", "door", "flag", "seal")
    ]
    rows = [painted("It is amber."), painted("It is cobalt.", "In which colour was the tap painted?"), *filler]

    def reply(asked: str) -> str:
        return "yes A1 B1" if "amber" in asked and "tap" in asked and "valve" in asked else "no"

    with answering(reply) as url:
        judge = LlmJudge(engine=HttpEngine(base_url=url, model="oracle"))
        config = Config(judge=judge, max_sharing=2, near_meaning=0.4)
        alone = run_alone(STAGE, config, tmp_path / "words", dialogues=rows)
        embedder = EmbedderSource("all-minilm-l6-v2")
        made = run_alone(STAGE, config, tmp_path / "meaning", dialogues=rows, embedder=embedder)
    assert set(evidence_of(alone)) == set()
    assert set(evidence_of(made)) == {rows[0].id, rows[1].id}
