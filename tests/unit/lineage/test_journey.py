"""From a record forward to all that became of it, and back to what it was made from."""

from __future__ import annotations

import pytest

from metier.errors import InputError
from metier.lineage.journey import chain, difference, find, journey
from tests.fixtures.tiny_curation import curation


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    return root, *curation(root)


def test_a_chain_is_in_the_order_of_making_and_begins_where_it_is_told(made):
    root, _, _ = made
    assert [a.manifest.step for a in chain(root)] == ["ingest", "chunk", "synthesise", "filter"]
    assert [a.manifest.step for a in chain(root, "chunk")] == ["ingest", "chunk"]
    with pytest.raises(InputError, match="nothing of blend"):
        chain(root, "blend")


def test_a_document_s_way_counts_what_was_made_of_it_and_names_what_was_lost(made):
    root, documents, dialogues = made
    found = journey(chain(root, "filter"), documents[0].id)
    by_step = {stop.step: stop for stop in found.stops}
    assert found.origins == ()
    assert (by_step["ingest"].kept, by_step["chunk"].made, by_step["synthesise"].made) == (1, 1, 4)
    assert by_step["filter"].lost == {"too_short": 4}
    assert {loss.id for loss in by_step["filter"].losses} == {d.id for d in dialogues[:4]}


def test_a_dialogue_s_way_leads_back_to_its_document(made):
    root, documents, dialogues = made
    found = journey(chain(root, "synthesise"), dialogues[-1].id)
    assert [row.step for row in found.origins] == ["chunk", "ingest"]
    assert found.origins[-1].record["id"] == documents[1].id
    assert [(stop.step, stop.kept) for stop in found.stops] == [("synthesise", 1)]


def test_a_rejected_record_is_found_by_its_rejection(made):
    root, _, _ = made
    artifacts = chain(root)
    lost = next(row for row in _rejected(artifacts[0]))
    assert find(artifacts, lost["id"][:10])[0].record["reason"] == "empty"


def _rejected(artifact):
    import pyarrow.parquet as pq

    return pq.read_table(artifact.table_files("rejected")[0]).to_pylist()


def test_an_id_may_be_short_but_not_that_of_two_or_none(made):
    root, documents, _ = made
    artifacts = chain(root)
    assert find(artifacts, documents[0].id[:12])[0].record["uri"] == "audit.md"
    with pytest.raises(InputError, match="at least 6"):
        find(artifacts, "ab")
    with pytest.raises(InputError, match="no record"):
        find(artifacts, "0" * 32)


def test_the_difference_of_two_settings_is_rows_reasons_and_the_setting(made):
    root, _, dialogues = made
    outputs = {a.manifest.config["min_words"]: a for a in map(_artifact, root.glob("filter/*"))}
    found = difference(outputs[5], outputs[9])
    assert found.config == ("filter.min_words 5 -> 9",)
    assert (found.shared, found.only) == (0, (3, 0))
    assert {loss.id for loss in found.losses[0]} == {d.id for d in dialogues[5:8]}
    assert found.losses[1] == ()


def _artifact(folder):
    from metier.lineage.artifact import Artifact

    return Artifact(folder)
