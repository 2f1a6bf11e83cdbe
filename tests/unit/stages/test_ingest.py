"""Sources into documents: what is read, what is rejected, what is refused."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from metier.errors import InputError
from metier.execution.plan import make_plan
from metier.execution.runner import run_plan
from metier.lineage.store import Store
from metier.records import Document, Rejection
from metier.stages import ingest
from metier.stages.ingest import DocumentSources, FolderSpec, PackageSpec, SourceSpec, documents_at, items_of


class Silent:
    def started(self, step): ...
    def progress(self, step, done, total, what): ...
    def finished(self, step, artifact, seconds, reused): ...


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "corpus"
    (root / "deep" / ".git").mkdir(parents=True)
    (root / "a.md").write_text("# Alpha\n\nFour words stand here.\n")
    (root / "deep" / "b.html").write_text("<title>Beta</title><p>Some words of text.</p>")
    (root / "c.txt").write_bytes(b"the caf\xe9 of another age")
    (root / "d.pdf").write_bytes(b"%PDF")
    (root / "e.md").write_text("")
    (root / "f.md").write_text("word")
    (root / "deep" / ".git" / "hidden.md").write_text("# Never seen here at all")
    return root


def made(sources, store, **settings):
    step = ingest.STAGE.step(ingest.Config(**settings), sources=sources)
    return run_plan(make_plan([step], Store(store)), Store(store), Silent())["ingest"]


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
    (tmp_path / "notes.pdf").write_bytes(b"x")
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
