"""Each reason code with a document that has earned it, and nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.records import ApiObject, Document, Rejection
from metier.stages.screen import STAGE, Config, operator
from tests.fixtures.stage_alone import run_alone

PROSE = "A branch reports its reserve within three days of the end of the quarter."
GERMAN = "Eine Filiale meldet ihre Rücklage innerhalb von drei Tagen nach dem Ende des Quartals."


def page(text: str, **fields) -> Document:
    return Document(uri="a.md", title="A", text=text, **fields)


def reason(document: Document, **settings) -> str:
    (out,) = operator(Config(**settings))([document])
    return out.reason if isinstance(out, Rejection) else ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Too short.", "too_short"),
        (PROSE * 9, "too_long"),
        (PROSE + "\ufffd", "broken_encoding"),
        (GERMAN, "language"),
        ((PROSE + "\n") * 3, "repetition"),
        ("We use cookies to improve your visit.\nSkip to main content", "boilerplate"),
        (PROSE, ""),
    ],
)
def test_each_fault_has_its_reason(text, expected):
    assert reason(page(text), max_words=60, languages=["en"]) == expected


def test_documentation_of_code_may_repeat_itself():
    api = ApiObject(name="f", kind="function", signature="f()", summary="s")
    assert reason(page((PROSE + "\n") * 3, api=api)) == ""


def test_what_many_documents_repeat_is_counted_over_all_of_them(ray_cluster, tmp_path):
    notice = "This page was made by the office of the registrar of the town."
    rows = [page(f"{notice}\nWord {i}") for i in range(3)] + [page(f"{notice}\n{PROSE}"), page(PROSE)]
    rows += [page(f"Note {i}: {PROSE}") for i in range(70)]
    config = Config(recurring_documents=4, min_words=1)
    for batch_rows in (1, 100):  # in pieces on workers, and here
        one = run_alone(STAGE, config, tmp_path / str(batch_rows), batch_rows=batch_rows, documents=rows)
        assert one.manifest.counts.rejected == {"boilerplate": 3}
        assert [d.id for d in one.records(Document)] == [row.id for row in rows[3:]]


@given(st.lists(st.text(max_size=60).map(page)))
def test_every_document_is_kept_or_rejected(documents):
    out = list(operator(Config(languages=["en"]))(documents))
    assert [o.record_id if isinstance(o, Rejection) else o.id for o in out] == [d.id for d in documents]
