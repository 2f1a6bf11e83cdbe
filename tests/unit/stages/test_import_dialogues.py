"""Chat logs into dialogues: what rows become, what is wrong with those that are none, and files in parts."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metier.errors import InputError, StepError
from metier.lineage import lines
from metier.records import Dialogue, Rejection
from metier.stages import import_dialogues
from metier.stages.import_dialogues import STAGE, ChatLogs, Config, LogSpec, logs_at, operator, slices_of
from tests.fixtures.command_line import metier
from tests.fixtures.object_store import object_store, put
from tests.fixtures.stage_alone import run_alone


def chat(question: str, answer: str = "It lasts 30 days.") -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


ALPACA = {"instruction": "How long is a leave?", "input": "", "output": "30 days."}
GOOD = [
    chat("How long is a leave? é"),
    {"conversations": [{"from": "human", "value": "How long is a break?"}, {"from": "gpt", "value": "An hour."}]},
    ALPACA,
    {"text": "<|im_start|>user\nHow long?<|im_end|>\n<|im_start|>assistant\nAn hour.<|im_end|>\n"},
]


def jsonl(*rows: object) -> bytes:
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def outcome(logs: ChatLogs, **settings) -> list[Dialogue | Rejection]:
    """What the operator makes of all parts of all files, here and not in a worker."""
    return list(operator(Config(**settings))([part for entry in logs.files() for part in slices_of(entry)]))


def of_file(tmp_path, name: str, data: bytes, **settings) -> list[Dialogue | Rejection]:
    (tmp_path / name).write_bytes(data)
    return outcome(logs_at(str(tmp_path / name)), **settings)


def reasons(found: list[Dialogue | Rejection]) -> list[str]:
    return [one.reason if isinstance(one, Rejection) else "" for one in found]


def test_each_form_becomes_a_production_dialogue(tmp_path):
    found = of_file(tmp_path, "log.jsonl", jsonl(*GOOD), task="support")
    assert [one.question for one in found] == [
        "How long is a leave? é",
        "How long is a break?",
        "How long is a leave?",
        "How long?",
    ]
    assert {(one.task, one.source, one.split) for one in found} == {("support", "production", "train")}


def test_a_row_that_is_no_dialogue_is_rejected_with_its_place_and_its_text(tmp_path):
    rows = [
        GOOD[0],
        {"messages": [{"role": "user", "content": "Hello?"}]},
        {"messages": [{"role": "narrator", "content": "Hello?"}]},
        b"{not json\n",
        b"\n",
        b'{"messages": "caf\xe9"}\n',
        {"prompt": "Hello?"},
        b"9" * 5000 + b"\n",
        chat("x" * 300_000),
        GOOD[1],
    ]
    data = jsonl(*rows)
    found = of_file(tmp_path, "log.jsonl", data, max_row_mb=0.2)
    expected = ["no_assistant_turn", "unknown_role", "not_json", "encoding", "unknown_format", "not_json", "too_large"]
    assert reasons(found) == ["", *expected, ""]
    for one in found[1:-1]:
        row = json.loads(one.row)
        assert row["uri"] == "log.jsonl"
        start = int(row["at"].removeprefix("byte "))
        assert data[start:].startswith(row["text"].encode()[:10])
        assert one.evidence.startswith(row["at"])


def test_the_same_conversation_is_the_same_dialogue_wherever_it_stood(tmp_path):
    first, second = of_file(tmp_path, "a.jsonl", jsonl(chat("One?"), chat("One?")))
    (third,) = of_file(tmp_path, "b.jsonl", jsonl(chat("One?")).rstrip())
    assert first == second == third


@pytest.mark.parametrize("size", [1, 7, 50, 333, 10**6])
def test_the_parts_of_a_file_give_each_of_its_rows_once(tmp_path, monkeypatch, size):
    data = b"\xef\xbb\xbf" + jsonl(*GOOD, b"\n", b"{bad\n", chat("Last?")).rstrip(b"\n")
    whole = of_file(tmp_path, "log.jsonl", data)
    assert reasons(whole) == ["", "", "", "", "not_json", ""]
    monkeypatch.setattr(lines, "PART", size)
    assert of_file(tmp_path, "log.jsonl", data) == whole


def test_a_line_of_fifty_megabytes_is_one_rejection_and_is_not_read_to_its_end(tmp_path, ray_cluster):
    long = json.dumps(chat("x" * 50_000_000)).encode() + b"\n"
    (tmp_path / "log.jsonl").write_bytes(jsonl(GOOD[0], long, GOOD[1]))
    artifact = run_alone(STAGE, Config(), tmp_path / "work", logs=ChatLogs(str(tmp_path / "log.jsonl")))
    (lost,) = artifact.records(Rejection, "rejected")
    assert (lost.reason, lost.evidence) == ("too_large", f"byte {len(jsonl(GOOD[0]))}: more than 1 MB")
    assert len(lost.row) < 5_000
    assert [one.question for one in artifact.records(Dialogue)] == ["How long is a leave? é", "How long is a break?"]


def test_of_a_line_without_end_no_more_is_read_than_could_be_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(import_dialogues, "SLICE", 100_000)
    (tmp_path / "log.jsonl").write_bytes(b"9" * 1_000_000)
    logs, read = ChatLogs(str(tmp_path / "log.jsonl")), []

    class Counted:
        def __init__(self, place):
            self._file = open(place, "rb")  # noqa: SIM115 (its user closes it)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._file.close()

        def __getattr__(self, name):
            return getattr(self._file, name)

        def read(self, size):
            data = self._file.read(size)
            read.append(len(data))
            return data

    parts = [part for entry in logs.files() for part in slices_of(entry)]
    monkeypatch.setattr(import_dialogues, "opened", Counted)
    assert reasons(list(operator(Config(max_row_mb=0.2))(parts))) == ["too_large"]
    assert len(parts) == 10
    assert sum(read) < 1_000_000 + 200_000 + 100


def test_parquet_is_read_group_by_group(tmp_path):
    rows = [chat(f"How long is leave {number}?") for number in range(5)]
    rows[3] = {"messages": [{"role": "user", "content": "Hello?"}]}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "log.parquet", row_group_size=2)
    logs = logs_at(str(tmp_path / "log.parquet"))
    (entry,) = logs.files()
    assert [(part.start, part.stop) for part in slices_of(entry)] == [(0, 1), (1, 2), (2, 3)]
    found = outcome(logs)
    assert reasons(found) == ["", "", "", "no_assistant_turn", ""]
    assert json.loads(found[3].row)["at"] == "row 4"


def test_a_file_that_is_no_log_is_one_rejection(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and no more")
    pq.write_table(pa.table({"messages": pa.array([], pa.string())}), tmp_path / "c.parquet")
    (tmp_path / "d.txt").write_bytes(b"Hello?")
    pq.write_table(pa.table({"prompt": ["Hello?"]}), tmp_path / "e.parquet")
    (tmp_path / "f.parquet").symlink_to(tmp_path / "a.jsonl")
    found = outcome(logs_at(str(tmp_path)))
    assert reasons(found) == ["empty", "corrupt", "empty", "unsupported_format", "unknown_format", "corrupt"]
    assert all(one.evidence for one in found)


def test_a_form_that_is_given_names_the_column_that_is_missing(tmp_path):
    (one,) = of_file(tmp_path, "log.jsonl", jsonl(ALPACA), format="openai")
    assert (one.reason, one.evidence) == ("missing_column", "byte 0: openai has a column messages")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere.jsonl", "there is no such folder"),
        ("", r"no \.jsonl or \.parquet file there"),
        ("s3://KEY:secret@logs/x", "credentials come from the environment"),
    ],
)
def test_a_place_without_logs_is_refused(tmp_path, place, said):
    with pytest.raises(InputError, match=said):
        logs_at(place if "://" in place else str(tmp_path / place)).check()


def test_the_fingerprint_is_what_the_logs_hold_and_not_where_they_lie(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.jsonl").write_bytes(jsonl(*GOOD))
    one, two = (logs_at(str(tmp_path / name)).fingerprint for name in ("one", "two"))
    assert one == two
    (tmp_path / "two" / "log.jsonl").write_bytes(jsonl(*GOOD[1:]))
    assert logs_at(str(tmp_path / "two")).fingerprint != one


def test_logs_in_a_bucket_are_read_where_they_lie(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "PART", 100)
    with object_store() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        put("chats", {"2025/a.jsonl": jsonl(*GOOD)})
        found = outcome(logs_at("s3://chats/2025"))
        assert found == outcome(logs_at("s3://chats/2025/a.jsonl")) == of_file(tmp_path, "a.jsonl", jsonl(*GOOD))
        (part, *_) = slices_of(logs_at("s3://chats/2025").files()[0])
        gone = import_dialogues.Slice(uri="z.jsonl", place=part.place.replace("a.jsonl", "z.jsonl"), stop=5)
        with pytest.raises(StepError, match="run again"):
            list(operator(Config())([gone]))


def test_the_stage_keeps_dialogues_and_counts_every_row(ray_cluster, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_bytes(jsonl(*GOOD, b"{bad\n"))
    pq.write_table(pa.Table.from_pylist([chat("One?"), chat("Two?")]), tmp_path / "logs" / "b.parquet")
    artifact = run_alone(STAGE, Config(), tmp_path / "work", logs=logs_at(str(tmp_path / "logs")))
    assert (artifact.manifest.counts.read, artifact.manifest.counts.kept) == (7, 6)
    assert artifact.manifest.counts.rejected == {"not_json": 1}
    assert [d.question for d in artifact.records(Dialogue)][-2:] == ["One?", "Two?"]
    assert str(tmp_path) not in "".join(r.row + r.evidence for r in artifact.records(Rejection, "rejected"))


def test_parquet_without_the_column_is_one_line_of_the_command(ray_cluster, tmp_path):
    pq.write_table(pa.table({"prompt": ["Hello?"]}), tmp_path / "a.parquet")
    command = ("stage", "import_dialogues", "--input", tmp_path / "a.parquet", "--output", tmp_path / "out")
    for more, reason in (((), "unknown_format"), (("--set", "format=sharegpt"), "missing_column")):
        ran = metier(*command, *more)
        assert ran.code == 2
        assert f"no dialogue in them ({reason} 1)" in ran.err.splitlines()[-1]


def test_a_share_is_held_out_by_the_question_that_opens_a_dialogue(tmp_path):
    rows = [chat(f"How long is leave {n}?", f"It lasts {m} days.") for n in range(200) for m in range(2)]
    longer = chat("How long is leave 7?")
    longer["messages"] += chat("And then?")["messages"]
    found = of_file(tmp_path, "a.jsonl", jsonl(*rows, longer), dev_fraction=0.2)
    splits = {}
    for one in found:
        splits.setdefault(one.messages[0].content, set()).add(one.split)
    assert all(len(sides) == 1 for sides in splits.values())
    assert sum(sides == {"dev"} for sides in splits.values()) == pytest.approx(40, abs=20)
    assert {one.root_id for one in found} == {one.id for one in found}
    assert {one.split for one in of_file(tmp_path, "b.jsonl", jsonl(*rows), dev_fraction=0)} == {"train"}


def test_a_glob_picks_files_and_several_folders_are_read_as_one(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jsonl").write_bytes(jsonl(chat(f"How long is {name}?")))
        (tmp_path / name / "b.jsonl").write_bytes(jsonl(chat("Another?")))
    logs = ChatLogs(tuple(LogSpec(folder=str(tmp_path / name), glob="a*") for name in ("one", "two")))
    assert [one.question for one in outcome(logs)] == ["How long is one?", "How long is two?"]
    assert logs.fingerprint != ChatLogs(logs.specs[:1]).fingerprint
    with pytest.raises(InputError, match="no .jsonl or .parquet file there"):
        ChatLogs((*logs.specs, LogSpec(folder=str(tmp_path / "one"), glob="c*"))).check()


def test_logs_without_a_dialogue_are_the_users_fault(ray_cluster, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"{bad\n")
    with pytest.raises(InputError, match=r"no dialogue in them \(not_json 1\)"):
        run_alone(STAGE, Config(), tmp_path / "work", logs=logs_at(str(tmp_path / "a.jsonl")))
