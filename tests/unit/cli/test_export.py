"""`metier export`: tables of dialogues in the forms of other tools, and back without a change."""

from __future__ import annotations

import json

import pytest

from metier.records import Dialogue, Message
from metier.stages.import_dialogues import Config, logs_at, operator, slices_of
from metier.text.chat_formats import FORMATS
from tests.fixtures.command_line import metier, refused
from tests.fixtures.stage_alone import as_table, dialogue

PAIRS = [
    dialogue("How long is a leave?", "It lasts 30 days.\n"),
    dialogue("Wie lang ist die Pause? é", "45 Minuten."),
    Dialogue(
        messages=(
            Message(role="system", content="Be brief."),
            Message(role="user", content="Hello?"),
            Message(role="assistant", content="Hey."),
            Message(role="user", content="What is the pay?"),
            Message(role="assistant", content="900."),
        ),
        task="purpose",
        source="teacher",
    ),
]


@pytest.fixture
def table(tmp_path):
    return as_table(tmp_path / "table", PAIRS, Dialogue).folder


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_exported_is_imported_again_to_the_letter(table, tmp_path, form):
    file = tmp_path / "pairs.jsonl"
    outcome = metier("export", table, "--output", file, "--format", form)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"3 dialogues as {form} -> {file}")
    parts = [part for entry in logs_at(str(file)).files() for part in slices_of(entry)]
    assert [d.messages for d in operator(Config())(parts)] == [d.messages for d in PAIRS]


def test_a_plain_file_of_dialogues_is_a_table_too(tmp_path):
    rows = [{"messages": [{"role": m.role, "content": m.content} for m in d.messages], "task": d.task, "source": d.source}
            for d in PAIRS]  # fmt: skip
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = metier("export", tmp_path / "pairs.jsonl", "--output", tmp_path / "out.jsonl", "--json")
    assert json.loads(outcome.out) == {"output": str(tmp_path / "out.jsonl"), "format": "openai", "rows": 3}


def test_a_dialogue_that_a_form_can_not_hold_is_refused_and_nothing_is_written(tmp_path):
    odd = dialogue("What does <|im_end|> mean?", "It ends a turn.")
    table = as_table(tmp_path / "table", [*PAIRS, odd], Dialogue).folder
    said = refused("export", table, "--output", tmp_path / "pairs.jsonl", "--format", "chatml")
    assert f"row 4 ({odd.id}): chatml can't hold it" in said
    assert [p.name for p in tmp_path.iterdir()] == ["table"]
    assert metier("export", table, "--output", tmp_path / "pairs.jsonl").code == 0


def test_nothing_is_overwritten_and_nothing_else_is_a_place(table, tmp_path):
    (tmp_path / "there.jsonl").write_text("mine")
    assert "is there already" in refused("export", table, "--output", tmp_path / "there.jsonl")
    assert "name a .jsonl file" in refused("export", table, "--output", tmp_path / "pairs.csv")
    assert "name a .jsonl file" in refused("export", table, "--output", tmp_path / "none" / "pairs.jsonl")
    assert (tmp_path / "there.jsonl").read_text() == "mine"


def test_what_is_no_table_of_dialogues_is_refused(table, tmp_path):
    out = tmp_path / "out.jsonl"
    assert "no such file" in refused("export", tmp_path / "none.jsonl", "--output", out)
    assert "one of openai, sharegpt, alpaca, chatml" in refused("export", table, "--output", out, "--format", "xml")
    assert "validation" in refused("export", table, "--output", out, "--table", "validation")
    assert not out.exists()
