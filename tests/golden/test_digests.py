"""What every deterministic stage makes of a fixed input, as a digest. It changes only together with the revision.

A changed output under an old revision would be taken for the old one: stores would go on reusing what the code no longer
makes. A stage's inputs here come from `tests/fixtures/small_corpus.py` and from no other stage, so one change is one failure.

Left out: `index`, whose content digest is by design that of its passages and embedder and says nothing of its files;
`blend`, whose order of passages comes from an embedder's floats, and these differ in the last bits between processors;
`train` and what follows it, which promise no equality to the bit; and of `ingest` the reading of an installed package, whose
documentation changes with its version.

    python tests/golden/test_digests.py     refreshes digests.json; refuses where a revision has to be raised first
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # for the refresh, which pytest does not start

from metier.lineage.artifact import Artifact
from metier.lineage.fingerprint import digest
from metier.lineage.source import PathSource
from metier.records import Passage
from metier.stages import anonymise, chunk, decontaminate, filter, screen, split, synthesise
from metier.stages.catalogue import STAGES
from metier.stages.import_dialogues import logs_at
from metier.stages.ingest import documents_at
from metier.text.authoring import corpus_of
from tests.fixtures.small_corpus import dialogues, documents, questions, write_folder, write_logs, write_verdicts
from tests.fixtures.stage_alone import run_alone

GOLDEN = Path(__file__).with_name("digests.json")
REFRESH = "refresh the golden digests with `python tests/golden/test_digests.py`"
PASSAGE = Passage(uri="a.md", title="A", section="", text="For a teacher, and there is none.", position=0)

Given = Callable[[Path], dict[str, Any]]
INPUTS: dict[str, Given] = {
    "ingest": lambda folder: {"sources": documents_at(str(write_folder(folder / "documents")))},
    "screen": lambda _: {"documents": documents()},
    "anonymise": lambda _: {"documents": documents()},
    "supersede": lambda _: {"documents": documents()},
    "deduplicate_documents": lambda _: {"documents": documents()},
    "split": lambda _: {"documents": documents()},
    "chunk": lambda _: {"documents": documents()},
    "questions": lambda _: {"documents": documents()},
    "synthesise": lambda _: {"documents": documents(), "passages": [PASSAGE]},
    "import_dialogues": lambda folder: {"logs": logs_at(str(write_logs(folder / "logs.jsonl")))},
    "anonymise_dialogues": lambda _: {"dialogues": dialogues()},
    "deduplicate": lambda _: {"dialogues": dialogues()},
    "filter": lambda _: {"dialogues": dialogues()},
    "review": lambda f: {"dialogues": dialogues(), "verdicts": PathSource(str(write_verdicts(f / "verdicts.jsonl")))},
    "decontaminate": lambda _: {"dialogues": dialogues(), "questions": questions()},
}
SETTINGS = {
    "synthesise": synthesise.Config(teacher=synthesise.Teacher(pairs=0)),
    "filter": filter.Config(as_of="2025-01-31"),
}
OPERATORS: list[tuple[str, Callable[..., Any], list[Any]]] = [
    ("screen", screen.operator, documents()),
    ("anonymise", anonymise.operator, documents()),
    ("split", lambda config: split.operator(config, {}), documents()),
    ("chunk", chunk.operator, documents()),
    ("synthesise", lambda config: synthesise.structured(config, corpus_of(documents())), documents()),
    ("anonymise_dialogues", anonymise.operator, dialogues()),
    ("filter", filter.operator, dialogues()),
    ("decontaminate", lambda config: decontaminate.operator(decontaminate.Exam(questions(), config)), dialogues()),
]


def made(name: str, folder: Path, batch_rows: int = 64) -> Artifact:
    """The output of a stage on its fixed input."""
    folder.mkdir(parents=True, exist_ok=True)
    stage = STAGES[name]
    return run_alone(stage, SETTINGS.get(name, stage.config()), folder, batch_rows=batch_rows, **INPUTS[name](folder))


def entry(artifact: Artifact) -> dict[str, Any]:
    """What is remembered of an output: the stage's revision, what it was given, and what came out."""
    manifest = artifact.manifest
    given = digest([manifest.config, manifest.inputs])
    return {"revision": manifest.revision, "given": given, "content": manifest.content}


def fault(name: str, known: dict[str, Any] | None, found: dict[str, Any]) -> str:
    """What a developer has to do, empty where nothing changed."""
    if known == found:
        return ""
    if known is None:
        return f"stage {name} has no golden digest: {REFRESH}"
    if known["revision"] != found["revision"]:
        return (
            f"stage {name} has revision {found['revision']}, the golden digests are of {known['revision']}: {REFRESH}"
        )
    if known["given"] != found["given"]:
        return f"the settings or the fixed input of stage {name} changed: {REFRESH}"
    return f"the output of stage {name} changed: raise its revision and {REFRESH}"


@pytest.fixture(scope="module")
def golden() -> dict[str, dict[str, Any]]:
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", INPUTS)
def test_a_stage_makes_what_it_made_before(ray_cluster, golden, tmp_path, name):
    artifact = made(
        name, tmp_path / "another" / "place", batch_rows=3
    )  # a refresh takes another folder and larger batches
    assert artifact.manifest.counts.read > 5
    told = fault(name, golden.get(name), entry(artifact))
    if told and entry(made(name, tmp_path / "like a refresh")) == golden.get(name):
        told = f"the output of stage {name} depends on its folder, or on the size of a batch"
    assert not told, told


@pytest.mark.parametrize(("name", "operator", "rows"), OPERATORS, ids=[name for name, *_ in OPERATORS])
def test_the_size_of_a_batch_enters_no_digest(name, operator, rows):
    config = SETTINGS.get(name, STAGES[name].config())
    assert list(operator(config)(rows)) == [out for row in rows for out in operator(config)([row])]


def test_no_digest_is_left_of_a_stage_that_is_gone(golden):
    assert set(golden) == set(INPUTS)


def test_what_is_to_be_done_depends_on_what_changed():
    known = {"revision": 1, "given": "a", "content": "x"}
    assert fault("split", known, known) == ""
    assert fault("split", known, known | {"content": "y"}) == (
        "the output of stage split changed: raise its revision and refresh the golden digests with "
        "`python tests/golden/test_digests.py`"
    )
    for harmless in ({"revision": 2, "content": "y"}, {"given": "b", "content": "y"}):
        told = fault("split", known, known | harmless)
        assert "refresh the golden digests" in told
        assert "raise" not in told
    assert "no golden digest" in fault("split", None, known)


def refresh() -> None:
    """Writes digests.json. Ends with code 1, and nothing written, where a stage's output changed and its revision did not."""
    from metier.execution.session import local_ray

    known = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    with local_ray(), tempfile.TemporaryDirectory() as folder:
        found = {name: entry(made(name, Path(folder) / name)) for name in INPUTS}
    faults = {name: told for name, one in found.items() if (told := fault(name, known.get(name), one))}
    if unraised := [told for told in faults.values() if "raise its revision" in told]:
        sys.exit("\n".join(unraised))
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"refreshed: {', '.join(faults) or 'nothing, for nothing changed'}")


if __name__ == "__main__":
    refresh()
