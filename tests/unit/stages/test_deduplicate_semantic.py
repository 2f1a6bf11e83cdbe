"""Questions in other words are one question, unless they name other things; the best row stays."""

from __future__ import annotations

import pytest

from metier.records import Dialogue, Rejection
from metier.retrieval.embedding import EmbedderSource
from metier.stages.deduplicate_semantic import SEMANTIC, STAGE, Config
from tests.fixtures.stage_alone import dialogue, run_alone

EMBEDDER = EmbedderSource("all-minilm-l6-v2")
LONG = "It can be sent back within thirty days."


def made(folder, rows, batch_rows=64, **settings):
    return run_alone(STAGE, Config(**settings), folder, batch_rows=batch_rows, dialogues=rows, embedder=EMBEDDER)


def test_the_same_question_in_other_words_goes_and_the_fuller_answer_stays(tmp_path):
    rows = [
        dialogue("How do I return an item that I bought?", "Send it."),
        dialogue("How can I return an item I have bought?", LONG),
        dialogue("Where is the head office?", "In Bern."),
    ]
    artifact = made(tmp_path, rows, threshold=0.9)
    assert [d.id for d in artifact.records(Dialogue)] == [rows[1].id, rows[2].id]
    (lost,) = artifact.records(Rejection, "rejected")
    assert lost.reason == SEMANTIC
    assert rows[1].id in lost.evidence


@pytest.mark.parametrize(("kept", "strict"), [(2, True), (1, False)])
def test_questions_that_name_other_things_both_stay(tmp_path, kept, strict):
    rows = [dialogue(f"What is the default of `{name}` in `read_csv`?", "3") for name in ("limit", "limits")]
    assert made(tmp_path, rows, threshold=0.9, keep_distinct_identifiers=strict).manifest.counts.kept == kept


def test_tiles_change_nothing(ray_cluster, tmp_path):
    rows = [dialogue(f"Who signs the form of office {'abcdefghij'[i % 10] * 3}?", f"Clerk {i}") for i in range(130)]
    both = [made(tmp_path / str(n), rows, batch_rows=n) for n in (1, 64)]
    assert both[0].fingerprint == both[1].fingerprint
    assert len(both[0].table_files()) == 3
    assert 0 < both[0].manifest.counts.kept < 130
