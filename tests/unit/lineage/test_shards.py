"""Records to Parquet and back."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from metier.lineage.fingerprint import rows_total
from metier.lineage.shards import from_table, read_table, schema_of, to_table, write_table
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
    assert write_table(tmp_path / "a.parquet", Dialogue, rows) == (5000, rows_total(row.id for row in rows))
    assert list(read_table(Dialogue, [tmp_path / "a.parquet"])) == rows


def test_equal_records_give_equal_bytes(tmp_path):
    rows = [Document(uri=str(i), title="t", text="x") for i in range(10)]
    for name in ("a", "b"):
        write_table(tmp_path / name, Document, iter(rows))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_record_type_has_a_schema():
    assert schema_of(Question).field("points").type == pa.list_(pa.string())
