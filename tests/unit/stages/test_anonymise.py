"""Personal data leaves documents and dialogues; everything else stays, and the key leaves no trace."""

from __future__ import annotations

import json
import random
import re

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.anonymisation.contexts import SEEN
from benchmarks.anonymisation.plants import PLANTS
from metier.errors import InputError
from metier.records import ApiObject, Dialogue, Document, Parameter
from metier.stages.anonymise import DIALOGUES, KEY_ENV, STAGE, Config, operator
from metier.text.checksums import bare, luhn
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


def planted() -> dict[str, list[tuple[str, str]]]:
    """Of each kind some sentences, each with what must not be left of it. Of names those that the lists hold."""
    chooser, made = random.Random(5), {}
    for kind, draw in PLANTS.items():
        made[kind] = []
        for sentence in SEEN[kind]:
            value = draw(chooser) if kind != "PERSON" else "Anna Meier"
            secret = value.split("\0")[1] if "\0" in value else value
            made[kind].append((sentence.replace("{}", value.replace("\0", "")), secret))
    made["CLAIM"] = [("Your claim CL-20394857 is open.", "CL-20394857")]
    return made


def written_in(folder) -> str:
    """All that the files of a folder hold, tables as text."""
    held = []
    for path in (p for p in folder.rglob("*") if p.is_file()):
        table = path.suffix == ".parquet"
        held += [path.name, json.dumps(pq.read_table(path).to_pylist()) if table else path.read_text(encoding="utf-8")]
    return "\n".join(held)


@pytest.mark.parametrize("surrogates", ["numbered", "keyed", "format_preserving"])
def test_nothing_that_was_planted_is_left_in_any_file_or_on_any_screen(
    surrogates, tmp_path, monkeypatch, capfd, caplog
):
    monkeypatch.setenv(KEY_ENV, KEY)
    caplog.set_level(0)
    config = Config(surrogates=surrogates, domain=[{"kind": "CLAIM", "pattern": r"\bCL-\d{8}\b"}])
    plants = planted()
    pages = [
        page("\n\n".join(text for text, _ in many), uri=f"{kind}.md", title=many[0][0]) for kind, many in plants.items()
    ]
    talks = [dialogue(f"What of this: {text}", f"{text} That is all.", evidence=text)
             for many in plants.values() for text, _ in many]  # fmt: skip
    made = [run_alone(STAGE, config, tmp_path / "a", documents=pages),
            run_alone(DIALOGUES, config, tmp_path / "b", batch_rows=1000, dialogues=talks)]  # fmt: skip
    assert [m.manifest.counts.kept for m in made] == [len(pages), len(talks)]
    shown = capfd.readouterr()
    left = "\n".join([*(written_in(m.folder) for m in made), shown.out, shown.err, caplog.text])
    assert KEY not in left
    for kind, many in plants.items():
        for text, secret in many:
            for form in {secret, re.sub(r"[ -]", "", secret)}:
                assert not re.search(rf"(?<!\w){re.escape(form)}(?!\w)", left), (kind, text)


def test_format_preserving_surrogates_stay_in_what_is_written_from_them(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)
    config = Config(surrogates="format_preserving")
    pages = [page("Card 4111 1111 1111 1111, born 1984-03-12, call +44 20 7946 0958.")]
    made = run_alone(STAGE, config, tmp_path / "a", documents=pages)
    (once,) = (d.text for d in made.records(Document))
    assert once != pages[0].text
    assert luhn(bare(once[5:24]))
    pairs = run_alone(
        DIALOGUES,
        config,
        tmp_path / "b",
        dialogues=[dialogue("Which?", once), dialogue("Whose card?", "It is 5555 5555 5555 4444.")],
        documents=list(made.records(Document)),
    )
    answers = [d.answer for d in pairs.records(Dialogue)]
    assert answers[0] == once
    assert "5555 5555 5555 4444" not in answers[1]


def test_a_changed_key_changes_what_keeps_its_form(monkeypatch):
    texts = []
    for key in (KEY, KEY + "!"):
        monkeypatch.setenv(KEY_ENV, key)
        texts.append(anonymised(page("card 4111 1111 1111 1111"), Config(surrogates="format_preserving")).text)
    assert len({*texts, "card 4111 1111 1111 1111"}) == 3


def test_a_domains_own_numbers_are_masked():
    config = Config(domain=[{"kind": "CASE", "pattern": r"\d{6}", "context": ["case no"]}])
    text = (
        "Case no. 123456 is open. "
        + "It has been so for a long time. " * 3
        + "It holds 654321 rows; 123456 is its number."
    )
    assert anonymised(page(text), config).text == text.replace("123456", "<CASE_1>")


def test_a_domains_kind_has_a_name_of_its_own():
    with pytest.raises(ValidationError, match="IBAN_CODE is a kind already"):
        Config(domain=[{"kind": "IBAN_CODE", "pattern": "x1"}])


CODE = """
```python
import numpy as np
from ray.data import Dataset

class Walker(Base):
    def __init__(self, token: str = "", timeout_s: float = 30.0, port=8265):
        self.address = "10.0.0.1:6379"
        self.name = "walker"
        assert np.__version__ >= "2.3.5", 1716239022123
        return x[1:10:2] @ w.T + 0x7f3a0012
```
Version 2.60.0 of 2026-01-05, 1,000,000 rows at 0.0000125, ids 550e8400-e29b-41d4-a716-446655440000.
"""


def test_code_stays_code():
    plain = page(CODE)
    assert anonymised(plain) is plain
