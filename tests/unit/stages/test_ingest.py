"""Sources into documents: what is read, what is rejected, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import docx
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter, ValidationError

from metier.errors import InputError, StepError
from metier.execution.runner import run_step
from metier.lineage.store import Store
from metier.records import Document, Rejection
from metier.stages import ingest
from metier.stages.ingest import Config, DocumentSources, FolderSpec, PackageSpec, SourceSpec, documents_at, items_of
from tests.fixtures.hostile_files import bomb_pdf, circular_pdf, deep_pdf, endless_pdf, laughing_markdown
from tests.fixtures.object_store import SECRET, object_store, put
from tests.fixtures.office_files import encrypted, pdf_of, saved


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "corpus"
    (root / "deep" / ".git").mkdir(parents=True)
    (root / "a.md").write_text("# Alpha\n\nFour words stand here.\n")
    (root / "deep" / "b.html").write_text("<title>Beta</title><p>Some words of text.</p>")
    (root / "c.txt").write_bytes(b"the caf\xe9 of another age")
    (root / "d.xlsx").write_bytes(b"PK")
    (root / "e.md").write_text("")
    (root / "f.md").write_text("word")
    (root / "deep" / ".git" / "hidden.md").write_text("# Never seen here at all")
    return root


def made(sources, store, **settings):
    return run_step(ingest.STAGE.step(ingest.Config(**settings), sources=sources), Store(store))


def test_a_folder_is_read_and_every_file_is_accounted_for(folder, tmp_path, ray_cluster):
    artifact = made(documents_at(str(folder)), tmp_path / "store")
    documents = {d.uri: d for d in artifact.records(Document)}
    assert set(documents) == {"a.md", "deep/b.html"}
    assert documents["deep/b.html"].title == "Beta"
    assert artifact.manifest.counts.read == 6
    assert artifact.manifest.counts.rejected == {"empty": 1, "encoding": 1, "too_short": 1, "unsupported_format": 1}
    whole = "".join(r.row + r.evidence for r in artifact.records(Rejection, "rejected"))
    assert str(folder) not in whole


def test_a_package_is_read_in_a_worker(tmp_path, ray_cluster):
    artifact = made(documents_at("package:ray:ray.serve"), tmp_path / "store")
    documents = {d.uri: d for d in artifact.records(Document)}
    assert documents["ray.serve.batch"].api.parameters[0].name == "max_batch_size"
    assert documents["ray.serve.batch"].version == PackageSpec(python_package="ray").version


def test_nothing_readable_is_the_users_fault(tmp_path, ray_cluster):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.md").write_text("")
    with pytest.raises(InputError, match=r"no readable document in them \(empty 1\)"):
        made(documents_at(str(tmp_path / "corpus")), tmp_path / "store")


def test_the_fingerprint_is_what_the_folder_holds_not_where_it_lies(folder, tmp_path):
    before = documents_at(str(folder)).fingerprint
    moved = folder.rename(tmp_path / "elsewhere")
    assert documents_at(str(moved)).fingerprint == before
    (moved / "a.md").write_text("# Alpha\n\nOther words.\n")
    assert documents_at(str(moved)).fingerprint != before


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nowhere/at/all", "there is no such folder"),
        ("package:metier_not_there", "not installed"),
        ("package:a-b", "give package:NAME"),
    ],
)
def test_a_source_that_is_not_there_is_refused_before_anything_runs(word, said):
    with pytest.raises(InputError, match=said):
        documents_at(word).fingerprint  # noqa: B018 (planning reads it)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "notes.xlsx").write_bytes(b"x")
    with pytest.raises(InputError, match="no document in it"):
        documents_at(str(tmp_path)).fingerprint  # noqa: B018


def test_two_folders_with_the_same_file_need_a_prefix(folder):
    spec = FolderSpec(folder=str(folder))
    with pytest.raises(InputError, match="prefix"):
        items_of(DocumentSources((spec, spec)))
    both = items_of(DocumentSources((spec, FolderSpec(folder=str(folder), prefix="old"))))
    assert {"a.md", "old/a.md"} <= {item.uri for item in both}


def test_a_spec_is_told_by_its_key_and_knows_no_other():
    parse = TypeAdapter(SourceSpec).validate_python
    assert parse({"folder": "x"}) == FolderSpec(folder="x")
    assert parse({"python_package": "ray", "modules": ["ray.data"]}).modules == ("ray.data",)
    with pytest.raises(ValidationError, match="a source is `folder: PATH` or"):
        parse({"foldr": "x"})
    with pytest.raises(ValidationError, match="globb"):
        parse({"folder": "x", "globb": "*"})


def test_a_folder_in_an_experiment_file_is_seen_from_the_file(tmp_path):
    assert FolderSpec(folder="docs").anchored(tmp_path).folder == str(tmp_path / "docs")
    assert FolderSpec(folder="/docs").anchored(tmp_path).folder == "/docs"


def test_what_a_parser_stumbles_over_costs_one_document_and_not_the_run(tmp_path, ray_cluster):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "good.md").write_text("# Alpha\n\nFour words stand here.\n")
    (corpus / "day.md").write_text("---\neffective: 2026-02-30\n---\nFour words stand here.\n")
    (corpus / "deep.html").write_text("<div>" * 20_000 + "Four words stand here.")
    (corpus / "charset.html").write_text('<meta charset="undefined"><p>Four words stand here.</p>')
    counts = made(documents_at(str(corpus)), tmp_path / "store").manifest.counts
    assert counts.read == 4
    assert counts.rejected["front_matter"] == 1
    assert counts.kept >= 1
    assert counts.balanced


@pytest.mark.parametrize("glob", ["/etc/*", "a**b", ""])
def test_a_glob_that_is_none_is_refused(folder, glob):
    with pytest.raises(InputError, match="glob"):
        FolderSpec(folder=str(folder), glob=glob).files()


def test_a_name_that_is_not_utf8_is_refused_before_anything_is_read(folder):
    (folder / "caf\udce9.md").write_text("# Alpha\n\nFour words stand here.\n")
    with pytest.raises(InputError, match="rename"):
        FolderSpec(folder=str(folder)).files()


PARAGRAPH = "A leave lasts thirty days in a year of work."


def read(data: bytes, name: str, tmp_path, **settings) -> Document | Rejection:
    """What the operator makes of one file."""
    (tmp_path / name).write_bytes(data)
    (item,) = [i for i in items_of(documents_at(str(tmp_path))) if i.uri == name]
    (outcome,) = ingest.operator(Config(**settings))([item])
    return outcome


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("scan.pdf", pdf_of([], picture=True), "scanned"),
        ("secret.pdf", encrypted(pdf_of([PARAGRAPH]), "secret"), "encrypted"),
        ("half.pdf", pdf_of([PARAGRAPH])[:200], "corrupt"),
        ("blank.pdf", pdf_of([]), "empty"),
        ("old.docx", b"\xd0\xcf\x11\xe0" + bytes(500), "encrypted"),
        ("letter.docx", b"a letter", "corrupt"),
        ("table.csv", b'a,b\n1,"open\n', "corrupt"),
        ("latin.rst", "Gebühr".encode("latin-1"), "encoding"),
        ("empty.rst", b"", "empty"),
        ("minified.txt", b"x " * 5 + b"y" * 20_000, "no_prose"),
        ("one_word.txt", b"y" * 20_000, "no_prose"),
    ],
)
def test_what_is_no_document_is_rejected_with_evidence(tmp_path, name, data, reason):
    outcome = read(data, name, tmp_path)
    assert isinstance(outcome, Rejection), outcome
    assert (outcome.reason, bool(outcome.evidence)) == (reason, True)
    assert json.loads(outcome.row)["uri"] == name


def test_a_file_that_is_too_large_is_not_read_and_a_long_line_is_cut(tmp_path):
    line = (PARAGRAPH + " ").encode() * 25_000  # a megabyte without a line's end
    assert read(line, "line.txt", tmp_path, max_file_mb=0.5).reason == "too_large"
    document = read(line, "line.txt", tmp_path)
    from metier.retrieval.chunking import passages_of

    assert max(len(p.text.split()) for p in passages_of(document)) <= 90


def rejections(files: dict[str, bytes], tmp_path, **settings) -> dict[str, str]:
    """Reasons by name, of files in a folder that the stage reads whole; beside them lies a good one, which is kept."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, data in {"good.md": PARAGRAPH.encode(), **files}.items():
        (corpus / name).write_bytes(data)
    artifact = made(documents_at(str(corpus)), tmp_path / "store", **settings)
    rejected = list(artifact.records(Rejection, "rejected"))
    assert [one.uri for one in artifact.records(Document)] == ["good.md"]
    assert artifact.manifest.counts.read == len(files) + 1
    assert all(one.stage == "ingest" and one.evidence for one in rejected)
    return {json.loads(one.row)["uri"]: one.reason for one in rejected}


LINE = 50_000_000  # characters


def test_broken_and_oversized_files_are_rejected_and_the_run_goes_on(tmp_path, ray_cluster):
    files = {
        "corrupt.pdf": pdf_of([PARAGRAPH])[:200],
        "no.pdf": b"a letter to the bank",
        "latin.txt": "Die Gebühr".encode("latin-1"),
        "zero.txt": b"a\0b\0c",
        "empty.md": b"",
        "line.txt": (PARAGRAPH.encode() + b" ") * (LINE // len(PARAGRAPH)),
    }
    assert rejections(files, tmp_path) == {
        "corrupt.pdf": "corrupt",
        "no.pdf": "corrupt",
        "latin.txt": "encoding",
        "zero.txt": "binary",
        "empty.md": "empty",
        "line.txt": "too_large",
    }


def test_a_line_of_fifty_megabytes_without_a_blank_is_no_prose_where_files_may_be_so_large(tmp_path, ray_cluster):
    assert rejections({"line.txt": b"y" * LINE}, tmp_path, max_file_mb=100) == {"line.txt": "no_prose"}


def test_hostile_files_are_stopped_by_a_limit_and_the_run_goes_on(tmp_path, ray_cluster):
    files = {
        "endless.pdf": endless_pdf(),
        "bomb.pdf": bomb_pdf(),
        "deep.pdf": deep_pdf(5_000),
        "circle.pdf": circular_pdf(),
        "laugh.md": laughing_markdown(),
    }
    assert max(map(len, files.values())) < 2_000_000
    began = time.monotonic()
    found = rejections(files, tmp_path, max_parse_seconds=4, max_parse_mb=1000)
    assert time.monotonic() - began < 90
    assert found == {
        "endless.pdf": "over_limit",
        "bomb.pdf": "over_limit",
        "deep.pdf": "over_limit",
        "circle.pdf": "corrupt",
        "laugh.md": "over_limit",
    }


def test_the_evidence_names_the_limit(tmp_path):
    outcome = read(endless_pdf(), "endless.pdf", tmp_path, max_parse_seconds=1)
    assert (outcome.reason, outcome.evidence) == ("over_limit", "took more than 1 s of processor time")
    outcome = read(laughing_markdown(), "laugh.md", tmp_path, max_parse_mb=500)
    assert (outcome.reason, outcome.evidence) == ("over_limit", "took more than 500 MB of memory")


def test_a_small_file_of_much_text_is_as_large_as_its_text(tmp_path):
    word = docx.Document()
    for _ in range(2000):
        word.add_paragraph(PARAGRAPH * 10)
    packed = saved(word)
    assert len(packed) < 500_000
    outcome = read(packed, "packed.docx", tmp_path, max_file_mb=0.5)
    assert (outcome.reason, outcome.evidence) == ("too_large", "0.9 MB of text")


def test_documents_of_every_format_are_read_beside_each_other(tmp_path, ray_cluster):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    word = docx.Document()
    word.add_paragraph(PARAGRAPH)
    files = {
        "a.pdf": pdf_of([("Leave", 20), PARAGRAPH], ["It is paid."]),
        "b.docx": saved(word),
        "c.rst": f"{PARAGRAPH}\n".encode(),
        "d.csv": b"grade,days,paid\nA,30,yes\n",
        "e.pdf": b"%PDF",
    }
    for name, data in files.items():
        (corpus / name).write_bytes(data)
    artifact = made(documents_at(str(corpus)), tmp_path / "store")
    texts = {d.uri: d.text for d in artifact.records(Document)}
    assert texts == {
        "a.pdf": f"# Leave\n\n{PARAGRAPH}\n\n\f\n\nIt is paid.\n",
        "b.docx": PARAGRAPH + "\n",
        "c.rst": PARAGRAPH + "\n",
        "d.csv": "grade: A\ndays: 30\npaid: yes\n",
    }
    assert artifact.manifest.counts.rejected == {"corrupt": 1}


@pytest.fixture(scope="module")
def bucket():
    """The environment of a client, and a bucket with a folder of documents in it."""
    with object_store() as variables:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            files = {
                "docs/a.md": f"# Leave\n\n{PARAGRAPH}\n".encode(),
                "docs/deep/b 100%.pdf": pdf_of([PARAGRAPH], ["It is paid."]),
                "docs/c.txt": b"caf\xe9 of old",
                "docs/d.xlsx": b"PK",
            }
            put("library", files)
        yield variables


def test_a_folder_in_a_bucket_is_read_by_workers_and_no_file_holds_its_key(bucket, tmp_path):
    command = [
        sys.executable,
        "-m",
        "metier",
        "stage",
        "ingest",
        "--input",
        "s3://library/docs",
        "--output",
        tmp_path / "out",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | bucket, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "4 read, 2 kept, rejected: encoding 1, unsupported_format 1" in ran.stdout
    texts = {row["uri"]: row["text"] for row in pq.read_table(tmp_path / "out" / "kept.parquet").to_pylist()}
    assert texts == {
        "a.md": f"# Leave\n\n{PARAGRAPH}\n",
        "deep/b 100%.pdf": f"{PARAGRAPH}\n\n\f\n\nIt is paid.\n",
    }
    written = [ran.stdout.encode(), ran.stderr.encode(), *(p.read_bytes() for p in (tmp_path / "out").iterdir())]
    assert not [data for data in written if SECRET.encode() in data or b"s3://" in data]


def test_an_object_store_gives_the_rows_that_a_folder_gives(bucket, monkeypatch, tmp_path):
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    far = items_of(documents_at("s3://library/docs"))
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    for item in far:
        with ingest.opened(item.place) as file:
            (tmp_path / "docs" / item.uri).write_bytes(file.read())
    near = items_of(documents_at(str(tmp_path / "docs")))
    assert list(ingest.operator(Config())(far)) == list(ingest.operator(Config())(near))


def test_an_object_that_was_written_anew_is_another_source(bucket, monkeypatch):
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    put("shelf", {"docs/a.md": b"# Leave"})
    before = documents_at("s3://shelf/docs").fingerprint
    assert documents_at("s3://shelf/docs").fingerprint == before
    time.sleep(1.1)  # the store's clock has whole seconds
    put("shelf", {"docs/a.md": b"# Lease"})
    assert documents_at("s3://shelf/docs").fingerprint != before


def test_an_object_that_is_gone_ends_the_step_and_is_not_lost_in_silence(bucket, monkeypatch):
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    (item,) = [i for i in items_of(documents_at("s3://library/docs")) if i.uri == "a.md"]
    gone = ingest.Item(uri="z.md", place=item.place.replace("a.md", "z.md"))
    with pytest.raises(StepError, match=r"z\.md can't be read .*: run again"):
        list(ingest.operator(Config())([gone]))


def test_a_url_with_a_key_in_it_is_refused_and_not_repeated():
    with pytest.raises(InputError, match="credentials come from the environment") as fault:
        documents_at(f"s3://KEY:{SECRET}@library/docs")
    assert SECRET not in str(fault.value)


def test_a_url_is_the_same_from_every_experiment_file(tmp_path):
    spec = FolderSpec(folder="s3://library/docs")
    assert spec.anchored(tmp_path) == spec
