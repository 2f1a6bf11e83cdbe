"""Records to Parquet and back, and plain files with faults."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.errors import InputError
from metier.lineage.shards import from_table, read_plain, read_table, schema_of, to_table, write_table
from metier.records import ApiObject, Dialogue, Document, Message, Parameter, Question

text = st.text(max_size=40)
documents = st.builds(
    Document,
    uri=text,
    title=text,
    text=text,
    split=st.sampled_from(["", "train", "final"]),
    api=st.none()
    | st.builds(
        ApiObject,
        name=text,
        kind=st.just("class"),
        signature=text,
        summary=text,
        parameters=st.lists(st.builds(Parameter, name=text, default=st.none() | text), max_size=3).map(tuple),
    ),
)


@given(st.lists(documents, max_size=5))
def test_a_table_gives_back_the_same_records(rows):
    assert from_table(Document, to_table(Document, rows)) == rows


def test_files_give_back_the_same_records(tmp_path):
    turns = (Message(role="user", content="q"), Message(role="assistant", content="a"))
    dialogue = Dialogue(messages=turns, task="t", source="teacher")
    rows = [dialogue.derive(Dialogue, task=str(i)) for i in range(5000)]  # more than one row group
    count, ids = write_table(tmp_path / "a.parquet", Dialogue, rows)
    assert (count, len(set(ids))) == (5000, 5000)
    assert list(read_table(Dialogue, [tmp_path / "a.parquet"])) == rows


def test_equal_records_give_equal_bytes(tmp_path):
    rows = [Document(uri=str(i), title="t", text="x") for i in range(10)]
    for name in ("a", "b"):
        write_table(tmp_path / name, Document, iter(rows))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def write_jsonl(path, *rows):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def test_plain_jsonl_needs_only_the_required_columns(tmp_path):
    path = write_jsonl(tmp_path / "in.jsonl", {"uri": "a", "title": "b", "text": "c"})
    assert list(read_plain(Document, path)) == [Document(uri="a", title="b", text="c")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"uri": "a", "title": "b"}, "row 1: column text is missing"),
        ({"uri": "a", "title": "b", "text": "c", "colour": 1}, "unknown column 'colour'"),
        ({"uri": "a", "title": "b", "text": 7}, "text is int, not str"),
        ({"uri": "a", "title": "b", "text": "c", "split": "exam"}, "split is 'exam', not one of"),
        ("{broken", "row 1: not JSON"),
        ("[1]", "row is not an object"),
    ],
)
def test_a_faulty_row_is_named(tmp_path, row, message):
    with pytest.raises(InputError, match="in.jsonl") as caught:
        list(read_plain(Document, write_jsonl(tmp_path / "in.jsonl", row)))
    assert message in str(caught.value)


def test_a_parquet_file_without_a_column_is_named(tmp_path):
    pq.write_table(pa.table({"uri": ["a"], "title": ["b"]}), tmp_path / "in.parquet")
    with pytest.raises(InputError, match="column text is missing"):
        list(read_plain(Document, tmp_path / "in.parquet"))


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "in.parquet").write_bytes(b"nothing")
    (tmp_path / "a.csv").write_text("uri")
    (tmp_path / "latin.jsonl").write_bytes(b'{"uri": "\xff"}')
    for name, message in (("in.parquet", "not a readable"), ("no.jsonl", "no such file"), ("a.csv", ".jsonl or"),
                          ("latin.jsonl", "not UTF-8")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            list(read_plain(Document, tmp_path / name))


def test_every_record_type_has_a_schema():
    assert schema_of(Question).field("points").type == pa.list_(pa.string())


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path):
    path = write_jsonl(tmp_path / "in.jsonl", {"uri": "a", "title": "b", "text": "c"})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [d.uri for d in read_plain(Document, path)] == ["a"]


@pytest.mark.parametrize("row", ["[" * 100_000, '{"position": ' + "9" * 5000 + "}"])
def test_what_json_itself_stumbles_over_is_named_with_its_row(tmp_path, row):
    path = write_jsonl(tmp_path / "in.jsonl", {"uri": "a", "title": "b", "text": "c"}, row)
    with pytest.raises(InputError, match="in.jsonl, row 2: can't be read"):
        list(read_plain(Document, path))


def test_damaged_pages_of_a_parquet_file_are_named(tmp_path):
    path = tmp_path / "in.parquet"
    write_table(path, Document, [Document(uri=str(i), title="t", text="word " * 50) for i in range(500)])
    data = bytearray(path.read_bytes())
    data[200:2000] = b"x" * 1800
    path.write_bytes(data)
    with pytest.raises(InputError, match="in.parquet, after row 0: damaged"):
        list(read_plain(Document, path))


def test_a_dialogue_needs_a_question_and_an_answer(tmp_path):
    path = write_jsonl(
        tmp_path / "in.jsonl", {"messages": [{"role": "user", "content": "q"}], "task": "t", "source": "teacher"}
    )
    with pytest.raises(InputError, match="row 1: messages need a user and an assistant turn"):
        list(read_plain(Dialogue, path))
