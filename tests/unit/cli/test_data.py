"""`metier data` through the command line, for people and for scripts."""

from __future__ import annotations

import json

import pytest

from metier.cli import main
from tests.fixtures.tiny_curation import curation


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    return root, *curation(root)


@pytest.fixture
def run(made, capsys, monkeypatch):
    monkeypatch.setenv("METIER_STORE", str(made[0]))
    monkeypatch.setenv("COLUMNS", "200")

    def say(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            main(["data", *arguments])
        assert ended.value.code == code
        return capsys.readouterr()

    return say


def test_the_funnel_adds_up(run):
    counts = json.loads(run("funnel", "--json").out)
    assert list(counts) == ["ingest", "chunk", "synthesise", "filter"]
    assert counts["ingest"] == {"read": 3, "kept": 2, "rejected": {"empty": 1}}
    assert "too_short" in run("funnel").out


def test_a_record_is_shown_with_the_tables_that_hold_it(run, made):
    out = run("show", made[1][0].id[:10]).out
    assert "audit.md" in out
    assert "ingest (kept)" in out


def test_why_names_reason_and_evidence(run, made):
    dialogue = made[2][0]
    out = run("why", dialogue.id).out
    assert "question of" in out
    assert "audit.md" in out
    told = json.loads(run("why", dialogue.id, "--json").out)
    assert told["stops"][-1]["lost"] == {"too_short": 1}


def test_two_outputs_are_compared_by_folder_or_key(run, made):
    one, other = sorted(made[0].glob("filter/*"))
    by_key = run("diff", f"filter/{one.name}", f"filter/{other.name}", "--json").out
    assert json.loads(by_key) == json.loads(run("diff", str(one), str(other), "--json").out)
    assert "rows only in" in run("diff", str(one), str(other)).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "abc"), "at least 6"),
        (("why", "0" * 32), "no record"),
        (("funnel", "--of", "nothing"), "nothing of nothing"),
        (("diff", "here", "there"), "here: neither"),
    ],
)
def test_what_is_not_there_is_one_line(run, arguments, said):
    err = run(*arguments, code=2).err
    assert said in err
    assert len(err.splitlines()) == 1
