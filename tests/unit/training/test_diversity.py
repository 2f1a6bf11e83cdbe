from __future__ import annotations

import random

from metier.records import Dialogue, Message, Passage
from metier.retrieval.prompt import prompt_messages
from metier.training.diversity import neighbour_share, spoken

WORDS = [f"word{i}" for i in range(400)]


def text(draw: random.Random, words: int = 20) -> list[str]:
    return draw.sample(WORDS, words)


def test_texts_of_their_own_have_no_neighbour_and_copies_have():
    draw = random.Random(0)
    own = [" ".join(text(draw)) for _ in range(300)]
    assert neighbour_share(own) == 0
    assert neighbour_share([*own, *own]) == 1
    assert neighbour_share([*own, own[0]]) == 2 / 301
    assert neighbour_share(own[:1]) == neighbour_share([]) == 0


def test_a_pair_counts_from_half_of_its_word_pairs_on():
    draw = random.Random(1)
    rest, pairs = [" ".join(text(draw)) for _ in range(100)], []
    for _ in range(50):
        one = text(draw)
        more = [w for w in WORDS if w not in one]
        pairs.append((" ".join(one), " ".join(one[:15] + more[:5]), " ".join(one[:12] + more[:8])))
    near = [side for one, close, _ in pairs for side in (one, close)]  # 14 of 24 word pairs in common: 0.58
    far = [side for one, _, off in pairs for side in (one, off)]  # 11 of 27: 0.41
    assert neighbour_share([*rest, *near]) > 0.98 * 100 / 200
    assert neighbour_share([*rest, *far]) == 0


def test_passages_are_shared_by_design_and_do_not_count():
    long = "The approval of large payments is set out in the rules of the treasury, which the board reviews every year."
    passages = [Passage(uri="rules.md", title="Rules", section="", text=long, position=0)]
    first, second = (
        Dialogue(messages=(*prompt_messages(asked, passages), Message(role="assistant", content=said)), task="default",
                 source="structured")
        for asked, said in (("What is the limit?", "Ten units a day."), ("Who may sign an invoice?", "The treasurer alone."))
    )  # fmt: skip
    assert spoken([first]) == ["What is the limit?\nTen units a day."]
    assert neighbour_share(spoken([first, second])) == 0
    assert neighbour_share([first.question, second.question]) == 1
