"""Training prompts: the passages that tell, the distractors, the abstentions, the order of tasks."""

from __future__ import annotations

import collections

import pytest

from metier.records import Dialogue, Message, Passage
from metier.retrieval.framing import (
    Framing,
    Library,
    behind_passages,
    beside,
    closed_book,
    tells,
    tokens_estimate,
    weighted_turns,
)
from metier.retrieval.prompt import ABSTENTION, prompt_messages

PLAIN = Framing(passages=3, withheld_share=0, shuffled_share=0, seed=0)
EVIDENCE = "- `retries` (int, default 5): How often it tries."


def passage(text, root="doc", position=0, title="lib.run", split="train"):
    return Passage(uri=root, title=title, section="", text=text, position=position, root_id=root, split=split)


GOLD = passage(f"Parameters of lib.run:\n{EVIDENCE}", position=1)
HEAD = passage("lib.run(path): Runs a thing.")
OTHERS = [
    passage(f"lib.other{i}: Another thing, number {i}.", root=f"other{i}", title=f"lib.other{i}") for i in range(6)
]
LIBRARY = Library([GOLD, HEAD, *OTHERS])


def pair(number=0, evidence=EVIDENCE, answer="`retries` defaults to `5`.", task="default", **more):
    turns = (
        Message(role="user", content=f"What is retries, case {number}?"),
        Message(role="assistant", content=answer),
    )
    return Dialogue(
        messages=turns, task=task, source="structured", split="train", evidence=evidence, root_id="doc", **more
    )


def test_what_retrieval_found_is_shown_as_it_was_found_in_the_served_prompt():
    made, _ = behind_passages(pair(), [GOLD, *OTHERS], LIBRARY, PLAIN)
    assert made.messages == (
        *prompt_messages(pair().question, [GOLD, OTHERS[0], OTHERS[1]]),
        Message(role="assistant", content=pair().answer),
    )
    assert made.passage_ids == (GOLD.id, OTHERS[0].id, OTHERS[1].id)
    assert made.framing == "retrieval"


def test_a_missed_gold_passage_is_put_in_at_changing_places():
    places = collections.Counter()
    for number in range(60):
        made, _ = behind_passages(pair(number), OTHERS, LIBRARY, PLAIN)
        assert len(made.passage_ids) == 3
        places[made.passage_ids.index(GOLD.id)] += 1
    assert set(places) == {0, 1, 2}


def test_evidence_that_no_passage_holds_gives_no_dialogue():
    assert behind_passages(pair(evidence="- `gone` (str): Nowhere."), [GOLD, *OTHERS], LIBRARY, PLAIN) is None


@pytest.mark.parametrize(
    "text", ["- `retries` (int, default 6): How often it tries.", "lib.run(path): Runs a thing.", ""]
)
def test_a_passage_with_another_value_does_not_tell(text):
    assert not tells(passage(text), EVIDENCE, "`retries` defaults to `5`.")


def test_a_description_that_is_cut_short_still_tells():
    long = EVIDENCE + " It waits a little longer each time." * 20
    assert tells(passage(EVIDENCE + " It waits a little longer each time." * 4), long, "`retries` defaults to `5`.")


def test_withheld_evidence_is_answered_by_an_abstention_and_nothing_of_the_document_is_shown():
    withheld = Framing(passages=3, withheld_share=1, shuffled_share=0, seed=0)
    copied = passage(GOLD.text, root="copy", title="lib.copy")
    made, _ = behind_passages(pair(), [GOLD, HEAD, copied, *OTHERS], LIBRARY, withheld)
    assert made.answer == ABSTENTION
    assert made.passage_ids == tuple(p.id for p in OTHERS[:3])


def test_with_nothing_to_show_in_its_place_the_evidence_stays():
    withheld = Framing(passages=3, withheld_share=1, shuffled_share=0, seed=0)
    made, _ = behind_passages(pair(), [GOLD, HEAD], LIBRARY, withheld)
    assert made.answer == pair().answer
    assert GOLD.id in made.passage_ids


def test_a_shuffled_prompt_holds_the_same_passages():
    shuffled = Framing(passages=3, withheld_share=0, shuffled_share=1, seed=0)
    orders = {behind_passages(pair(n), [GOLD, *OTHERS], LIBRARY, shuffled)[0].passage_ids for n in range(30)}
    assert {frozenset(o) for o in orders} == {frozenset([GOLD.id, OTHERS[0].id, OTHERS[1].id])}
    assert len(orders) > 1


def test_a_comparison_sees_both_sides():
    asked = pair(evidence=f"{HEAD.text}\n{OTHERS[5].text}", answer="Runs a thing.\nAnother thing, number 5.",
                 task="difference")  # fmt: skip
    made, _ = behind_passages(asked, [GOLD, *OTHERS[:4]], LIBRARY, PLAIN)
    assert {HEAD.id, OTHERS[5].id} <= set(made.passage_ids)
    assert len(made.passage_ids) == 3


def test_an_unanswerable_dialogue_sees_what_retrieval_gives():
    made, _ = behind_passages(pair(evidence="", answer=ABSTENTION), [GOLD, *OTHERS], LIBRARY, PLAIN)
    assert made.passage_ids[0] == GOLD.id
    assert made.answer == ABSTENTION


def test_another_question_joins_where_the_shown_passages_answer_it():
    lead, shown = behind_passages(pair(), [GOLD, *OTHERS], LIBRARY, PLAIN)
    assert [p.id for p in shown] == list(lead.passage_ids)
    purpose = pair(1, evidence=HEAD.text, answer="Runs a thing.", task="purpose")
    assert beside(purpose, shown, LIBRARY) is None
    joined = beside(purpose, [HEAD, *shown], LIBRARY)
    assert joined.passage_ids == (HEAD.id, *lead.passage_ids)
    assert beside(pair(2, evidence="", answer=ABSTENTION), shown, LIBRARY).answer == ABSTENTION


def test_what_two_dialogues_begin_with_is_counted_once():
    lead, shown = behind_passages(pair(), [GOLD, *OTHERS], LIBRARY, PLAIN)
    joined = beside(pair(1), shown, LIBRARY)
    whole, rest = tokens_estimate(joined, 1.0), tokens_estimate(joined, 1.0, lead)
    assert whole - rest > len(GOLD.text)
    assert rest >= len(f"1?{joined.answer}")


def test_earlier_turns_stay():
    turns = [Message(role="system", content="old"), Message(role="user", content="Hi?"),
             Message(role="assistant", content="Hello."), *pair().messages]  # fmt: skip
    made = closed_book(Dialogue(messages=tuple(turns), task="t", source="production"))
    assert [m.content for m in made.messages[1:]] == ["Hi?", "Hello.", pair().question, pair().answer]
    assert made.framing == "closed_book"


def test_every_beginning_is_balanced_and_weights_count():
    rows = [pair(i, task="many") for i in range(100)] + [pair(i, task="few") for i in range(6)]
    rows += [pair(i, task="none") for i in range(3)]
    ranked, left = weighted_turns(rows, {"many": 2.0, "none": 0.0}, seed=0)
    assert collections.Counter(d.task for d in ranked[:15]) == {"many": 10, "few": 5}
    assert (len(ranked), {d.task for d in left}) == (106, {"none"})
    assert weighted_turns(rows[::-1], {"many": 2.0, "none": 0.0}, seed=0)[0] == ranked


def test_a_common_answer_waits_for_the_rare_ones():
    rows = [pair(i, answer="It is `None`.") for i in range(9)] + [
        pair(20, answer="It is `7`."),
        pair(21, answer="It is `x`."),
    ]
    ranked, _ = weighted_turns(rows, {}, seed=0)
    assert {d.answer for d in ranked[:3]} == {"It is `None`.", "It is `7`.", "It is `x`."}
