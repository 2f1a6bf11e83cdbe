"""The chunk stage: passages that know their document. How texts are cut is tested with `metier.retrieval.chunking`."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from metier.errors import StepError
from metier.records import Document, Passage
from metier.stages.chunk import STAGE, Config, operator
from tests.fixtures.small_corpus import documents
from tests.fixtures.stage_alone import run_alone


def cut(*pages: Document, **settings) -> list[Passage]:
    return list(operator(Config(**settings))(list(pages)))


def test_every_document_gives_passages_in_its_own_order():
    pages = documents()
    passages = cut(*pages)
    assert list(dict.fromkeys(p.uri for p in passages)) == [d.uri for d in pages]
    for page in pages:
        assert [p.position for p in passages if p.uri == page.uri] == list(range(len(cut(page))))


def test_a_passage_carries_what_training_and_search_ask_of_it():
    page = documents()[1]
    for passage in cut(page):
        assert (passage.split, passage.effective, passage.root_id) == (page.split, page.effective, page.id)


def test_fewer_words_a_passage_make_more_passages():
    assert len(cut(*documents(), max_words=20)) > len(cut(*documents(), max_words=90))
    with pytest.raises(ValidationError):
        Config(max_words=19)


def test_a_document_of_headings_alone_gives_none():
    assert cut(Document(uri="a", title="A", text="# One\n\n## Two\n")) == []


def test_the_stage_writes_the_passages_of_all_documents(ray_cluster, tmp_path):
    made = run_alone(STAGE, Config(), tmp_path, documents=documents(), batch_rows=5)
    assert list(made.records(Passage)) == cut(*documents())
    assert made.manifest.counts.read == len(documents())


def test_a_corpus_that_gives_no_passage_stops_the_run(ray_cluster, tmp_path):
    with pytest.raises(StepError, match="nothing is left"):
        run_alone(STAGE, Config(), tmp_path, documents=[Document(uri="a", title="A", text="# One\n")])
