"""A user's own tables: read in slices of any size, and refused with the row that is no record."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metier.errors import InputError
from metier.lineage import lines
from metier.lineage.plain import read_plain, slices_of
from metier.lineage.shards import write_table
from metier.records import Dialogue, Document


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


def pages(number):
    return [Document(uri=f"{n}.md", title="Ü" * (n % 7), text="word " * n) for n in range(number)]


@pytest.mark.parametrize("size", [1, 10, 333, 10**6])
def test_slices_of_lines_give_every_row_once(tmp_path, monkeypatch, size):
    rows = [{"uri": d.uri, "title": d.title, "text": d.text} for d in pages(30)]
    path = write_jsonl(tmp_path / "in.jsonl", *rows[:9], "", *rows[9:])
    monkeypatch.setattr(lines, "PART", size)
    assert len(slices_of(Document, path)) == max(1, -(-path.stat().st_size // size))
    assert list(read_plain(Document, path)) == pages(30)


def test_a_faulty_row_keeps_its_number_in_a_later_slice(tmp_path, monkeypatch):
    row = {"uri": "a", "title": "b", "text": "c"}
    monkeypatch.setattr(lines, "PART", 50)
    for fault, said in (({"uri": "a"}, "column title is missing"), ("{", "not JSON")):
        with pytest.raises(InputError, match=f"row 9: {said}"):
            list(read_plain(Document, write_jsonl(tmp_path / "in.jsonl", *[row] * 7, "", fault, row)))
    table = pa.table({"uri": ["a"] * 9, "title": ["b"] * 9, "text": ["c"] * 8 + [None]})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=2)
    assert len(slices_of(Document, tmp_path / "in.parquet")) == 5
    with pytest.raises(InputError, match="row 9: column text is missing"):
        list(read_plain(Document, tmp_path / "in.parquet"))


def test_a_folder_of_parquet_files_is_one_table(tmp_path):
    (tmp_path / "in.parquet").mkdir()
    for name, rows in (("a", pages(6)[:2]), ("b", pages(6)[2:])):
        write_table(tmp_path / "in.parquet" / f"{name}.parquet", Document, rows)
    assert [(part.start, part.stop, part.first) for part in slices_of(Document, tmp_path / "in.parquet")] == [
        (0, 1, 0),
        (0, 1, 2),
    ]
    assert list(read_plain(Document, tmp_path / "in.parquet")) == pages(6)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"uri": [1], "title": [1]}, "in.parquet: column text is missing"),
        ({"uri": [""], "colour": [1]}, "unknown column 'colour'"),
    ],
)
def test_the_columns_of_parquet_are_looked_at_before_any_row(tmp_path, columns, said):
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    with pytest.raises(InputError, match=said):
        slices_of(Document, tmp_path / "in.parquet")
