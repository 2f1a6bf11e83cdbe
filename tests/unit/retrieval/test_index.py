"""The index: names are found by name, meanings by meaning, and only in the split that was asked for."""

from __future__ import annotations

import pytest

from metier.errors import InputError
from metier.records import Passage
from metier.retrieval.embedding import Embedder
from metier.retrieval.index import Retriever, build, fused, rows_of, terms

TEXTS = {
    "lib.Frame.map_rows": "lib.Frame.map_rows(fn, workers=4): Apply a function to each row.",
    "lib.Frame.map_groups": "lib.Frame.map_groups(fn): Apply a function to each group of rows.",
    "lib.save": "lib.save(path): Write the table to a file on disk.",
    "lib.weather": "Clouds bring rain in the autumn and snow in the winter.",
}


@pytest.fixture(scope="module")
def embedder():
    return Embedder("all-minilm-l6-v2")


@pytest.fixture(scope="module")
def retriever(embedder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    rows = [
        Passage(uri=uri, title=uri, section="", text=text, position=0, split="train" if i % 2 else "final")
        for i, (uri, text) in enumerate(TEXTS.items())
    ]
    build([rows_of(rows, embedder)], folder)
    return Retriever(folder, embedder)


def uris(passages):
    return [p.uri for p in passages]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("What is the default of `workers` in lib.Frame.map_rows?", "lib.Frame.map_rows"),
        ("What does map_groups do?", "lib.Frame.map_groups"),
        ("How do I store my data permanently?", "lib.save"),
        ("Will it be wet in November?", "lib.weather"),
    ],
)
def test_the_right_passage_comes_first(retriever, question, first):
    assert uris(retriever.search(question, 3))[0] == first


def test_a_split_is_kept_to(retriever):
    assert set(uris(retriever.search("Apply a function", 4, "train"))) == {"lib.Frame.map_groups", "lib.weather"}
    with pytest.raises(InputError, match="split"):
        retriever.search("x", 1, "train' OR 'a'='a")


def test_many_questions_get_what_each_gets_alone(retriever):
    asked = ["What does map_rows do?", "rain", "'; DROP \" (odd) marks* ?"]
    assert retriever.search_many(asked, 2) == [retriever.search(q, 2) for q in asked]
    assert retriever.search_many([], 2) == []


def test_passages_come_back_as_they_went_in(retriever):
    found = retriever.search("lib.save", 1)[0]
    again = Passage(uri=found.uri, title=found.title, section="", text=found.text, position=0, split="final")
    assert found == again


def test_identifiers_are_seen_whole_and_in_parts():
    assert {"lib.frame.map_rows", "frame.map_rows", "map_rows", "map", "rows"} <= set(terms("lib.Frame.map_rows"))
    assert {"torchtrainer", "torch", "trainer"} <= set(terms("TorchTrainer"))


def test_an_empty_or_missing_index_is_named(embedder, tmp_path):
    with pytest.raises(InputError, match="needs passages"):
        build([], tmp_path)
    with pytest.raises(InputError, match="no passage index"):
        Retriever(tmp_path / "none", embedder)


def test_a_document_that_is_named_shows_its_opening_passage(embedder, tmp_path):
    opening = "lib.Frame.map_rows(fn, workers=4, retries=3, backend=None): Apply a function to each row of the frame."
    parts = [opening, *(f"Parameter {n} of lib.Frame.map_rows: what map_rows does." for n in "abcdef")]
    rows = [
        Passage(uri="x", title="lib.Frame.map_rows", section="", text=text, position=i, root_id="x", split=split)
        for split in ("train", "dev")
        for i, text in enumerate(parts)
    ]
    build([rows_of(rows, embedder)], tmp_path)
    found = Retriever(tmp_path, embedder).search("What does `lib.Frame.map_rows` do?", 2, "dev")
    assert (opening, "dev") in [(p.text, p.split) for p in found]


def test_a_title_in_quotes_is_a_name_whatever_marks_it_holds(embedder, tmp_path):
    titles = ["The Reader's rule", "Another rule", "A third rule"]
    rows = [
        Passage(uri=t, title=t, section="", text=f"Text number {i}", position=0, root_id=t)
        for i, t in enumerate(titles)
    ]
    build([rows_of(rows, embedder)], tmp_path)
    assert uris(Retriever(tmp_path, embedder).search('What is in "The Reader\'s rule"?', 1)) == ["The Reader's rule"]


def test_the_order_of_passages_changes_nothing(embedder, tmp_path):
    rows = [Passage(uri=f"u{i}", title=f"u{i}", section="", text="The same words.", position=0) for i in range(12)]
    build([rows_of(rows, embedder)], tmp_path / "a")
    build([rows_of(rows[::-1], embedder)], tmp_path / "b")
    one, other = (Retriever(tmp_path / name, embedder).search("words", 5) for name in "ab")
    assert one == other


def test_a_part_is_written_before_the_next_is_asked_for(embedder, tmp_path):
    passages = [Passage(uri=f"u{i}", title=f"u{i}", section="", text=f"Text number {i}.", position=0) for i in range(6)]

    def parts():
        for start in (0, 2, 4):
            if start:
                assert len(Retriever(tmp_path, embedder).search("text", 6)) == start
            yield rows_of(passages[start : start + 2], embedder)

    assert build(parts(), tmp_path) == 6
    assert uris(Retriever(tmp_path, embedder).search("What does `u5` say?", 1)) == ["u5"]


def test_ranks_are_fused_by_weight_and_ties_stand_by_id():
    a, b, c = ({"id": name} for name in "abc")
    assert [r["id"] for r in fused([(1.0, [b, a]), (1.0, [a, b])])] == ["a", "b"]
    assert [r["id"] for r in fused([(1.0, [c]), (0.5, [a, b])])] == ["c", "a", "b"]
    assert fused([(1.0, []), (0.5, [])]) == []


def test_a_name_that_vectors_blur_is_found_by_its_letters(embedder, tmp_path):
    numbers = range(100, 160)
    rows = [
        Passage(uri=str(n), title="settings", section="", text=f"max_{n}_kqz: how many there may be.", position=1)
        for n in numbers
    ]
    build([rows_of(rows, embedder)], tmp_path)
    found = Retriever(tmp_path, embedder).search_many([f"What does max_{n}_kqz say?" for n in numbers], 3)
    assert [str(n) in uris(hits) for n, hits in zip(numbers, found, strict=True)] == [True] * 60
