"""Kept + rejected = read, for every stage that says so: each row comes out once, and a rejected one says where, why and on
what evidence. What rows hold is hypothesis's choice."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metier.config import StageConfig
from metier.execution import train_task
from metier.lineage.artifact import Artifact
from metier.lineage.source import PathSource
from metier.models import ModelSource
from metier.records import Dialogue, Document, Passage, Question, Record, Rejection
from metier.retrieval.embedding import EmbedderSource
from metier.stages import blend, index, ingest, train
from metier.stages.catalogue import STAGES
from metier.stages.import_dialogues import logs_at
from metier.training import worker
from tests.fixtures.nasty_records import DAYS, ODD, PROSE, tables, texts
from tests.fixtures.stage_alone import dialogue, run_alone
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.training_job import tiny_questions

EMBEDDER = EmbedderSource("all-minilm-l6-v2")
FACT = "A reviewer of the bank writes the result of each year into the book of the branch."
PASSAGE = Passage(uri="sound.md", title="The book", section="", text=FACT, position=0, split="train")
# One row that every stage keeps: a table of which nothing is left stops a run, which is another matter.
SOUND: dict[type[Record], Record] = {
    Document: Document(uri="sound.md", title="The book", text=FACT, split="train"),
    Dialogue: dialogue(
        "Who writes the result of each year into the book?", FACT, evidence=FACT, root_id=PASSAGE.root_id
    ),
}


def checked(artifact: Artifact, kept: list[Record], stage: str) -> list[Rejection]:
    """The rejections of an output whose counts and reasons were looked at."""
    rejected, counts = list(artifact.records(Rejection, "rejected")), artifact.manifest.counts
    assert counts.balanced
    assert counts.kept == len(kept)
    assert counts.rejected == collections.Counter(one.reason for one in rejected)
    assert all(one.stage == stage and one.reason and one.evidence for one in rejected)
    return rejected


def as_row(record: Record) -> str:
    return json.dumps(dataclasses.asdict(record), sort_keys=True, ensure_ascii=False)


def assert_conserved(artifact: Artifact, rows: list[Any], *, name: str, kept_in: tuple[str, ...] = ("kept",)) -> None:
    """Each row went one way: kept as it is or as a child of its own, or rejected with all that it held."""
    kept = [one for table in kept_in for one in artifact.records(type(rows[0]), table)]
    rejected = checked(artifact, kept, name)
    left = collections.Counter(map(as_row, rows))
    left.subtract(one.row for one in rejected)
    children = [one for one in kept if not left[as_row(one)]]
    left.subtract(as_row(one) for one in kept if left[as_row(one)])
    assert min(left.values()) >= 0, "a row came out that did not go in, or came out twice"
    remaining = [json.loads(row) for row, times in left.items() for _ in range(times)]
    assert collections.Counter((one["id"], one["root_id"]) for one in remaining) == collections.Counter(
        (one.parent_ids[0], one.root_id) for one in children
    )
    assert all(one.record_id == json.loads(one.row)["id"] for one in rejected)


few = settings(max_examples=10, suppress_health_check=list(HealthCheck))
on_ray = settings(few, max_examples=2)  # where the rows travel is not what these examples are about


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """One for each example, where pytest has one for all of them."""
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


@dataclasses.dataclass(frozen=True)
class Case:
    """A stage over one table: its settings, the table that is conserved, and what else it is given."""

    kind: type[Record]
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    also: Callable[[list[Any], Path], dict[str, Any]] = lambda rows, place: {}


def verdicts(rows: list[Any], place: Path) -> dict[str, Any]:
    """An expert's word on some of the rows."""
    ids = sorted({row.id for row in rows})
    words = zip(ids, ("accept", "reject", "edit"), strict=False)
    said = [{"record_id": id_, "decision": word, "reviewer": "r", "answer": "So."} for id_, word in words]
    (place / "verdicts.jsonl").write_text("".join(json.dumps(one) + "\n" for one in said))
    return {"verdicts": PathSource(str(place / "verdicts.jsonl"))}


def exam(rows: list[Any], place: Path) -> dict[str, Any]:
    """Questions of which one copies a row's, and one is about the document of another."""
    asked = [*tiny_questions(2, "final"), Question(prompt=PROSE[2], reference="5", points=("5",), slice="numeric", task="t",
             split="final", root_id="one and the same")]  # fmt: skip
    return {"questions": asked, "embedder": EMBEDDER}


CASES = {
    "screen": Case(Document, {"recurring_documents": 3, "languages": ("en",)}),
    "anonymise": Case(Document),
    "supersede": Case(Document),
    "deduplicate_documents": Case(Document),
    "split": Case(Document),
    "anonymise_dialogues": Case(Dialogue),
    "deduplicate": Case(Dialogue, {"keep_signatures": True}),
    "deduplicate_semantic": Case(Dialogue, also=lambda rows, place: {"embedder": EMBEDDER}),
    "filter": Case(Dialogue, {"as_of": "2025-01-31", "languages": ("en",)}),
    "review": Case(Dialogue, also=verdicts),
    "decontaminate": Case(Dialogue, also=exam),
}


def test_every_stage_that_conserves_rows_is_looked_at():
    others = {"ingest", "import_dialogues", "blend", "train"}  # below, each in its own way
    assert {*CASES, *others} == {name for name, stage in STAGES.items() if stage.conserves}


@pytest.mark.parametrize("name", CASES)
@few
@given(data=st.data())
def test_each_row_of_a_table_comes_out_once(name, data):
    case, stage = CASES[name], STAGES[name]
    rows = [*data.draw(tables(case.kind)), SOUND[case.kind]]
    config: StageConfig = stage.config(**case.settings)
    first = next(iter(stage.inputs))
    with folder() as place:
        artifact = run_alone(stage, config, place, **{first: rows}, **case.also(rows, place))
        assert_conserved(artifact, rows, name=name)


@pytest.fixture(scope="module")
def search(tmp_path_factory) -> Artifact:
    place = tmp_path_factory.mktemp("index")
    return run_alone(index.STAGE, index.Config(), place, passages=[PASSAGE], embedder=EMBEDDER)


@few
@given(rows=tables(Dialogue))
def test_each_row_of_a_blend_comes_out_once(search, rows):
    purpose = dataclasses.replace(SOUND[Dialogue], id="", task="purpose")
    config = blend.Config(retrieval_share=0.5, task_weights={"": 0.0}, max_dialogues=6, validation_dialogues=1)
    with folder() as place:
        artifact = run_alone(blend.STAGE, config, place, dialogues=[*rows, purpose], passages=[PASSAGE], index=search,
                             embedder=EMBEDDER)  # fmt: skip
        assert_conserved(artifact, [*rows, purpose], name="blend", kept_in=("kept", "validation"))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), PROSE)


@pytest.fixture
def untrained(monkeypatch):
    """Training itself left out: rows are encoded and counted before it, and test_train has it."""

    def train_in(place: Path, resources: Any, progress: Any) -> dict[str, Any]:
        (place / worker.ADAPTER).mkdir()
        (place / worker.ADAPTER / "adapter_config.json").write_text("{}")
        point = {"step": 1, "epoch": 1.0, "train_loss": 1.0}
        history = {"points": [point], "losses": [[1, 1.0]], "stopped_early": False}
        return {"history": history, "best_step": 1, "fit": None, "trainable": 1, "total": 2}

    monkeypatch.setattr(train_task, "train_in", train_in)


@few
@given(rows=tables(Dialogue), held_out=tables(Dialogue))
def test_each_row_of_a_training_set_comes_out_once(base, untrained, rows, held_out):
    rows = [*rows, SOUND[Dialogue]]
    with folder() as place:
        blended = blend_of(place / "blend", rows, held_out)
        artifact = run_alone(train.STAGE, train.Config(max_tokens=200), place, dialogues=blended,
                             questions=tiny_questions(2), base=ModelSource(str(base)))  # fmt: skip
        kept = list(artifact.records(Dialogue))
        rejected = list(artifact.records(Rejection, "rejected"))
        counts = artifact.manifest.counts
        held = counts.kept - len(kept)  # they are watched, and stand in the blend
        short = collections.Counter(map(as_row, [*rows, *held_out]))
        short.subtract(one.row for one in rejected)
        assert min(short.values()) >= 0
        assert short.total() == counts.kept == len(kept) + held
        assert counts.read == len(rows) + len(held_out) == counts.kept + len(rejected)
        assert counts.rejected == collections.Counter(one.reason for one in rejected)
        assert not collections.Counter(map(as_row, kept)) - short


def blend_of(place: Path, rows: list[Dialogue], held_out: list[Dialogue]) -> Artifact:
    from metier.lineage.artifact import Writer
    from metier.lineage.manifest import Counts

    writer = Writer(place)
    writer.table("kept", Dialogue, rows)
    writer.table("validation", Dialogue, held_out)
    return writer.commit(stage="blend", step="blend", revision=1, config={}, inputs={}, counts=Counts())


SUFFIXES = (".md", ".txt", ".html", ".rst", ".csv", ".docx", ".pdf", ".xlsx", "")
FRONT = tuple(f"---\neffective: {day}\n---\n{FACT}" for day in DAYS)
HEADS = (b"", b"%PDF-1.7\n", b"PK\x03\x04", b"\xff\xfe", b"\xef\xbb\xbf", b"\xd0\xcf\x11\xe0")
contents = st.builds(
    lambda head, text, encoding: head + text.encode(encoding, "replace"),
    st.sampled_from(HEADS),
    texts | st.sampled_from(FRONT + tuple(ODD)),
    st.sampled_from(["utf-8", "utf-16-le", "cp037"]),
) | st.binary(max_size=60)


@on_ray
@given(files=st.lists(st.tuples(st.sampled_from(SUFFIXES), contents), max_size=30))
def test_each_file_of_a_folder_is_a_document_or_a_rejection(ray_cluster, files):
    names = [f"{number}{suffix}" for number, (suffix, _) in enumerate(files)]
    with folder() as place:
        (place / "documents").mkdir()
        (place / "documents" / "sound.md").write_text(FACT)
        for name, (_, data) in zip(names, files, strict=True):
            (place / "documents" / name).write_bytes(data)
        sources = ingest.documents_at(str(place / "documents"))
        artifact = run_alone(ingest.STAGE, ingest.Config(), place, sources=sources)
        kept = list(artifact.records(Document))
        rejected = checked(artifact, kept, "ingest")
        assert artifact.manifest.counts.read == len(files) + 1
        assert sorted([one.uri for one in kept] + [json.loads(one.row)["uri"] for one in rejected]) == sorted(
            [*names, "sound.md"]
        )


SOUND_LINE = json.dumps({"instruction": "Who writes it?", "output": FACT}).encode()
chats = st.one_of(
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": texts}),
             max_size=3).map(lambda turns: {"messages": turns}),
    st.fixed_dictionaries({"instruction": texts, "output": texts}),
    st.fixed_dictionaries({"text": texts}),
    st.none() | st.integers() | texts,
)  # fmt: skip
lines = chats.map(lambda row: json.dumps(row).encode()) | st.binary(max_size=40).map(lambda b: b.replace(b"\n", b" "))


@on_ray
@given(logs=st.lists(st.lists(lines, max_size=8), max_size=4))
def test_each_line_of_a_log_is_a_dialogue_or_a_rejection(ray_cluster, logs):
    with folder() as place:
        (place / "logs").mkdir()
        for number, log in enumerate([*logs, [SOUND_LINE]]):
            (place / "logs" / f"{number}.jsonl").write_bytes(b"\n".join(log))
        stage = STAGES["import_dialogues"]
        artifact = run_alone(stage, stage.config(), place, logs=logs_at(str(place / "logs")))
        kept = list(artifact.records(Dialogue))
        rejected = checked(artifact, kept, "import_dialogues")
        written = [[line for line in log if line.strip()] for log in logs]
        empty = sum(not b"\n".join(log) for log in logs)  # a file of nothing is one rejection
        assert len(kept) + len(rejected) == sum(map(len, written)) + empty + 1
        places = [(row["uri"], row["at"]) for row in (json.loads(one.row) for one in rejected)]
        assert len(set(places)) == len(places)
