"""The smoke check of citations: the text of the index, to the letter."""

import pytest

from metier.errors import StepError
from metier.records import Passage
from metier.retrieval.embedding import Embedder
from metier.retrieval.index import build, rows_of
from metier.serving.chat import citations
from metier.serving.smoke import SmokeAnswer, _check, passage_texts


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    passages = [
        Passage(uri=f"{n}.md", title=n, section="", text=f"The {n} rule.", position=0) for n in ("audit", "hedge")
    ]
    build([rows_of(passages, Embedder("all-minilm-l6-v2"))], folder)
    return folder, passages


def test_texts_come_by_id(index):
    folder, passages = index
    assert passage_texts(folder, [passages[1].id, "' OR 1=1", "unknown"]) == {passages[1].id: passages[1].text}
    assert passage_texts(folder, []) == {}


def test_a_changed_or_missing_citation_is_a_failure(index):
    folder, passages = index
    good = tuple(citations(passages))
    _check(SmokeAnswer("q", "a", "stop", good), folder)
    for bad, reason, words in (
        ((good[0] | {"text": "The audit rule!"},), "stop", "not the passage's text"),
        ((), "stop", "cites nothing"),
        (good, "aborted", "did not end"),
    ):
        with pytest.raises(StepError, match=words):
            _check(SmokeAnswer("q", "a", reason, bad), folder)
