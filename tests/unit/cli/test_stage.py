"""`metier stage`: what it says of the stages, what it refuses, and one stage alone on plain files."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metier.lineage.artifact import Artifact
from metier.records import Dialogue, Rejection
from metier.stages.catalogue import STAGES
from tests.fixtures.command_line import metier, refused


def write_pairs(path, *answers):
    rows = (
        {
            "messages": [{"role": "user", "content": "How many days?"}, {"role": "assistant", "content": answer}],
            "task": "default",
            "source": "structured",
        }
        for answer in answers
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def deduplicated(ray_cluster, tmp_path_factory):
    """What a real run said, and the folder that it wrote."""
    folder = tmp_path_factory.mktemp("deduplicated")
    pairs = write_pairs(folder / "pairs.jsonl", "It is 30 days.", "It is 30 days.", "It is 12 weeks.")
    return metier("stage", "deduplicate", "--input", pairs, "--output", folder / "out"), folder / "out"


@pytest.fixture
def pairs(tmp_path):
    return write_pairs(tmp_path / "pairs.jsonl", "It is 30 days.", "It is 12 weeks.")


def test_the_list_shows_every_stage_and_every_setting_uncut():
    shown = metier("stage", "--list").out
    words = set(shown.split())
    assert set(STAGES) <= words
    assert {"keep_distinct_identifiers", "teacher.engine.engine", "unanswerable_per_document", "method.rank"} <= words
    assert metier("stage").out == shown


def test_types_with_brackets_are_shown(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert "tuple[str, ...]" in metier("stage", "blend", "--list").out


def test_one_stage_is_shown_alone():
    shown = metier("stage", "filter", "--list").out
    assert "--input dialogues=" in shown
    assert "min_grounded_share" in shown
    assert "train_fraction" not in shown


def test_a_script_is_told_inputs_columns_settings_and_outputs():
    (said,) = json.loads(metier("stage", "review", "--list", "--json").out)
    assert said["stage"] == "review"
    assert said["inputs"]["dialogues"]["columns"]["messages"].startswith("list<")
    assert said["inputs"]["verdicts"] == {
        "about": "file of verdicts (JSONL or Parquet)",
        "optional": True,
        "columns": None,
    }
    assert said["settings"]["properties"]["sample_size"]["default"] == 50
    assert {"reason", "evidence"} <= set(said["outputs"]["rejected"])
    assert said["outputs"]["sample.jsonl"] == "the sample to look at"
    assert [one["stage"] for one in json.loads(metier("stage", "--list", "--json").out)] == list(STAGES)


def test_plain_rows_go_in_and_tables_with_reasons_come_out(deduplicated):
    outcome, out = deduplicated
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == f"deduplicate: 3 read, 2 kept, rejected: exact_duplicate 1 -> {out}"
    made = Artifact(out)
    assert {d.answer for d in made.records(Dialogue)} == {"It is 30 days.", "It is 12 weeks."}
    (lost,) = made.records(Rejection, "rejected")
    assert lost.evidence.startswith("repeats ")


def test_the_output_of_one_stage_is_the_input_of_the_next(deduplicated, tmp_path):
    _, before = deduplicated
    outcome = metier("stage", "review", "--input", before, "--output", tmp_path / "out", "--json",
                     "--set", "sample_size=1", "--on", "batch_rows=7")  # fmt: skip
    done = json.loads(outcome.out.splitlines()[-1])
    assert done == {
        "event": "done",
        "stage": "review",
        "output": str(tmp_path / "out"),
        "read": 2,
        "kept": 2,
        "rejected": {},
    }
    made = Artifact(tmp_path / "out")
    assert made.manifest.inputs == {"dialogues": Artifact(before).fingerprint}
    assert made.manifest.config["sample_size"] == 1
    assert made.receipts()[-1]["resources"]["batch_rows"] == 7


def test_several_tables_of_one_input_are_one(ray_cluster, pairs, tmp_path):
    other = write_pairs(tmp_path / "other.jsonl", "It is 12 weeks.", "It is 9 years.")
    out = tmp_path / "out"
    assert metier("stage", "deduplicate", "--input", pairs, "--input", other, "--output", out).code == 0
    assert {d.answer for d in Artifact(out).records(Dialogue)} == {
        "It is 30 days.",
        "It is 12 weeks.",
        "It is 9 years.",
    }
    assert Artifact(out).manifest.counts.rejected == {"exact_duplicate": 1}


def test_a_stage_may_write_over_its_own_output_and_over_no_other(ray_cluster, pairs, tmp_path):
    command = ("--input", pairs, "--output", tmp_path / "out")
    metier("stage", "review", *command)
    write_pairs(pairs, "It is 7 hours.")
    assert metier("stage", "review", *command).code == 0
    assert [d.answer for d in Artifact(tmp_path / "out").records(Dialogue)] == ["It is 7 hours."]
    assert "holds something else" in refused("stage", "deduplicate", *command)


def test_a_day_is_a_setting_without_quotes(tmp_path):
    said = refused("stage", "filter", "--output", tmp_path / "out", "--set", "as_of=2026-01-31")
    assert "--input dialogues=PATH is needed" in said  # and not that the day is none


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "treshold=1"], "stage deduplicate: treshold: unknown key; did you mean 'threshold'?"),
        (["--set", "threshold=high"], "threshold: Input should be a valid number"),
        (["--set", "threshold"], "'threshold' is not KEY=VALUE"),
        (["--set", "threshold=1", "--set", "threshold.low=1"], "threshold was given a value of its own before"),
        (["--on", "gpu=1"], "--on: gpu: unknown key; did you mean 'gpus'?"),
        (["--input", "questions=x.jsonl"], "no input 'questions'; it takes dialogues"),
    ],
)
def test_what_a_stage_does_not_take_is_refused(pairs, tmp_path, words, says):
    said = refused("stage", "deduplicate", "--input", pairs, "--output", tmp_path / "out", *words)
    assert says in said
    assert not (tmp_path / "out").exists()


def test_inputs_that_are_missing_or_no_tables_are_refused(pairs, tmp_path):
    command = ("stage", "deduplicate", "--output", tmp_path / "out")
    (tmp_path / "empty.jsonl").touch()
    assert "--input dialogues=PATH is needed (dialogues)" in refused(*command)
    twice = ("--input", pairs, "--input", f"dialogues={pairs}")
    assert "--input dialogues is given twice" in refused("stage", "filter", "--output", tmp_path / "out", *twice)
    assert "there is no such file" in refused(*command, "--input", tmp_path / "none.jsonl")
    assert "the table is empty" in refused(*command, "--input", tmp_path / "empty.jsonl")
    assert "a table is .jsonl or .parquet" in refused(*command, "--input", tmp_path)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_table_with_a_column_missing_too_many_or_of_another_type_is_refused(tmp_path, suffix):
    turns = [{"role": "user", "content": "How many days?"}, {"role": "assistant", "content": "30 days."}]
    row = {"messages": turns, "task": "default", "source": "structured"}

    def said_of(one: dict[str, object]) -> str:
        table = tmp_path / f"pairs{suffix}"
        if suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist([one]), table)
        else:
            table.write_text(json.dumps(one) + "\n")
        return refused("stage", "deduplicate", "--input", table, "--output", tmp_path / "out")

    columns = "pairs.parquet:" if suffix == ".parquet" else "pairs.jsonl, row 1:"  # Parquet's are those of every row
    without = {name: value for name, value in row.items() if name != "messages"}
    assert f"{columns} column messages is missing (columns of a Dialogue: " in said_of(without)
    assert f"{columns} unknown column 'colour'" in said_of(row | {"colour": "red"})
    assert f"pairs{suffix}, row 1: task is int, not str" in said_of(row | {"task": 5})
    assert not (tmp_path / "out").exists()


def test_a_parquet_file_that_is_none_or_is_cut_short_is_refused(pairs, tmp_path):
    def said_of(data: bytes) -> str:
        (tmp_path / "pairs.parquet").write_bytes(data)
        return refused("stage", "deduplicate", "--input", tmp_path / "pairs.parquet", "--output", tmp_path / "out")

    pq.write_table(
        pa.Table.from_pylist([json.loads(line) for line in pairs.read_text().splitlines()]), tmp_path / "whole"
    )
    whole = (tmp_path / "whole").read_bytes()
    for data in (b"", b"PAR1 and no more", whole[:-20]):
        assert "pairs.parquet: not a readable Parquet file" in said_of(data)


def test_a_manifest_of_something_else_is_neither_read_nor_written_over(pairs, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "manifest.json").write_text('{"name": "a web page"}')
    for command in (("--input", site, "--output", tmp_path / "out"), ("--input", pairs, "--output", site)):
        assert "does not describe an output" in refused("stage", "deduplicate", *command)
    assert (site / "manifest.json").read_text() == '{"name": "a web page"}'


def test_the_output_must_be_a_folder(pairs):
    assert "that is a file; name a folder" in refused("stage", "deduplicate", "--input", pairs, "--output", pairs)
    assert "--output FOLDER is needed" in refused("stage", "deduplicate", "--input", pairs)


def test_an_unknown_stage_comes_with_the_nearest_one():
    assert "did you mean filter?" in refused("stage", "fliter", "--list")
    assert "see --list" in refused("stage", "zzz")


def test_what_a_person_put_beside_an_output_is_not_cleared_away(ray_cluster, pairs, tmp_path):
    out = tmp_path / "out"
    assert metier("stage", "review", "--input", pairs, "--output", out).code == 0
    (out / "verdicts.jsonl").write_text("{}\n")
    said = refused("stage", "review", "--input", pairs, "--output", out)
    assert "verdicts.jsonl in it is no output of this stage" in said
    assert (out / "verdicts.jsonl").exists()


def test_a_stage_that_fails_leaves_its_earlier_output_as_it_was(ray_cluster, pairs, tmp_path):
    out, verdicts = tmp_path / "out", tmp_path / "verdicts.jsonl"
    assert metier("stage", "review", "--input", pairs, "--output", out).code == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    verdicts.write_text('{"record_id": "none", "decision": "accept", "reviewer": "r"}\n')
    failed = metier("stage", "review", "--input", pairs, "--input", f"verdicts={verdicts}", "--output", out)
    assert failed.code == 2
    assert "no dialogue has the id" in failed.err
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_stage_that_fails_leaves_nothing_in_the_way_of_the_next_attempt(ray_cluster, pairs, tmp_path):
    out, logs = tmp_path / "out", write_pairs(tmp_path / "logs.jsonl", "It is 30 days.")
    command = ("stage", "import_dialogues", "--input", logs, "--output", out)
    assert metier(*command, "--set", "format=sharegpt").code == 2
    assert not out.exists()
    assert metier(*command).code == 0


def test_an_input_inside_the_output_is_refused(ray_cluster, pairs, tmp_path):
    out = tmp_path / "out"
    assert metier("stage", "review", "--input", pairs, "--output", out).code == 0
    assert "lies in --output" in refused("stage", "review", "--input", out, "--output", out)
    assert (out / "kept.parquet").exists()


def test_another_stages_table_is_refused(ray_cluster, pairs, tmp_path):
    out = tmp_path / "out"
    assert metier("stage", "review", "--input", pairs, "--output", out).code == 0
    assert "holds no Document rows" in refused("stage", "chunk", "--input", out, "--output", tmp_path / "chunks")


def test_the_earlier_output_of_a_killed_attempt_is_found_again(ray_cluster, pairs, tmp_path):
    out = tmp_path / "out"
    assert metier("stage", "review", "--input", pairs, "--output", out).code == 0
    out.rename(tmp_path / ".out.earlier")  # as a kill leaves it
    out.mkdir()
    (out / "kept.parquet").write_bytes(b"half")
    assert metier("stage", "review", "--input", tmp_path / "none.jsonl", "--output", out).code == 2
    assert (out / "manifest.json").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
