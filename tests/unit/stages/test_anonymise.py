"""Personal data leaves documents and dialogues; everything else stays, and the key leaves no trace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.errors import InputError
from metier.records import ApiObject, Dialogue, Document, Parameter
from metier.stages.anonymise import DIALOGUES, KEY_ENV, STAGE, Config, operator
from tests.fixtures.stage_alone import dialogue, run_alone

KEY = "a secret that nobody guesses"


def page(text: str, **fields) -> Document:
    return Document(**({"uri": "a.md", "title": "A", "text": text} | fields))


def anonymised(record, config: Config | None = None):
    (made,) = operator(config or Config())([record])
    return made


def test_one_value_has_one_surrogate_in_all_fields_of_a_record():
    api = ApiObject(
        name="lib.f",
        kind="function",
        signature="f(to='jane@acme.com')",
        summary="Writes to jane@acme.com.",
        parameters=(Parameter(name="to", default="'jane@acme.com'", description="Such as bob@acme.com."),),
    )
    made = anonymised(page("Ask jane@acme.com or Bob@acme.com.", title="Of jane@acme.com", api=api))
    assert made.title == "Of <EMAIL_ADDRESS_1>"
    assert made.text == "Ask <EMAIL_ADDRESS_1> or <EMAIL_ADDRESS_2>."
    assert made.api.summary == "Writes to <EMAIL_ADDRESS_1>."
    assert made.api.parameters[0].description == "Such as <EMAIL_ADDRESS_2>."
    assert made.api.signature == api.signature


def test_a_changed_record_is_a_child_and_an_unchanged_one_is_itself():
    plain, personal = page("Version 1.2.3.4 of lib.f."), page("Ask jane@acme.com.")
    assert anonymised(plain) is plain
    made = anonymised(personal)
    assert made.parent_ids == (personal.id,)
    assert (made.root_id, made.uri) == (personal.id, "a.md")
    assert anonymised(made) is made


def test_all_turns_and_the_evidence_of_a_dialogue_are_masked():
    made = anonymised(dialogue("Who is bob@acme.com?", "Ask jane@acme.com.", evidence="jane@acme.com knows."))
    assert made.question == "Who is <EMAIL_ADDRESS_1>?"
    assert made.answer == "Ask <EMAIL_ADDRESS_2>."
    assert made.evidence == "<EMAIL_ADDRESS_2> knows."


def test_a_keyed_surrogate_holds_across_records_and_follows_the_key(monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)
    config = Config(surrogates="keyed")
    first, second = (anonymised(page(f"{i}: ask Jane@acme.com"), config).text[3:] for i in range(2))
    assert first == second
    monkeypatch.setenv(KEY_ENV, KEY + "!")
    other = Config(surrogates="keyed")
    assert anonymised(page("0: ask Jane@acme.com"), other).text[3:] != first
    assert other.identity() != config.identity()
    with pytest.raises(InputError, match="not the key"):
        operator(config)


@pytest.mark.parametrize(("key", "why"), [("", "is not set"), ("short", "fewer than 16")])
def test_without_a_key_keyed_is_refused(monkeypatch, key, why):
    monkeypatch.setenv(KEY_ENV, key)
    with pytest.raises(InputError, match=why):
        Config(surrogates="keyed")


def test_a_key_that_is_not_the_expected_one_is_refused(monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)
    with pytest.raises(InputError, match="asks for 00000000"):
        Config(surrogates="keyed", key_fingerprint="00000000")


def test_numbered_surrogates_need_no_key_and_no_fingerprint(monkeypatch):
    monkeypatch.delenv(KEY_ENV, raising=False)
    assert Config(key_fingerprint="left over").key_fingerprint == ""


@given(st.lists(st.text(max_size=60), max_size=5))
def test_no_row_is_lost(texts):
    rows = [page(text, uri=f"{i}.md") for i, text in enumerate(texts)]
    assert [r.uri for r in operator(Config())(rows)] == [r.uri for r in rows]


def test_the_stages_write_no_personal_data_and_no_key(ray_cluster, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)
    made = run_alone(
        STAGE, Config(surrogates="keyed"), tmp_path / "a", documents=[page("Ask jane@acme.com."), page("No one.")]
    )
    assert made.manifest.counts.kept == 2
    pairs = run_alone(DIALOGUES, Config(), tmp_path / "b", dialogues=[dialogue("Who can I ask?", "Ask jane@acme.com.")])
    assert [d.answer for d in pairs.records(Dialogue)] == ["Ask <EMAIL_ADDRESS_1>."]
    written = b"".join(
        p.read_bytes() for folder in (made.folder, pairs.folder) for p in folder.rglob("*") if p.is_file()
    )
    assert KEY.encode() not in written
    assert "jane" not in " ".join(d.text for d in made.records(Document))
