"""The register stage through a real store: what ships, what is refused, and that doing it twice changes nothing."""

import pytest

from metier.errors import GateError, InputError
from metier.lineage.store import Store
from metier.serving.registry import production
from metier.stages.register import OUTPUT, put_into_production
from tests.fixtures.tiny_release import decision, make_artifacts, put, run_register


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    return root, make_artifacts(root)


def gated(root, made, **said):
    """The same inputs behind another gate."""
    gate = put(
        Store(root), "gate", lambda w: w.json("gate.json", decision(**said)), model=made["merge"], index=made["index"]
    )
    return made | {"gate": gate}


def test_a_release_names_its_parts_within_the_store_and_no_folder_of_this_machine(made):
    root, parts = made
    release = run_register(root, parts)
    said = release.json(OUTPUT)
    assert said["model"] == f"merge/{parts['merge'].folder.name}/model"
    assert said["index"] == f"index/{parts['index'].folder.name}/index"
    assert said["contents"]["model"] == parts["merge"].fingerprint
    assert str(root) not in release.path(OUTPUT).read_text()
    assert said["max_model_len"] == 2048
    assert production(root).number == 1


def test_registering_the_same_again_is_the_same_bytes_and_version(made):
    root, parts = made
    first, second = run_register(root, parts), run_register(root, parts, key="again")
    assert first.fingerprint == second.fingerprint
    assert (production(root).number, production(root).release) == (1, "register/again")


def test_the_format_that_the_gate_lets_ship_is_released(made):
    root, parts = made
    said = run_register(root, gated(root, parts, passed=True, ships="w8a8"), key="small").json(OUTPUT)
    assert said["model"].startswith("quantise-w8a8/")
    assert production(root).release == "register/small"


def test_a_refused_model_is_not_registered_and_production_stays(made):
    root, parts = made
    before = run_register(root, parts) and production(root)
    with pytest.raises(GateError, match="no better"):
        run_register(root, gated(root, parts, passed=False, ships="none"), key="bad")
    assert production(root) == before


def test_a_format_without_its_model_is_refused(made):
    root, parts = made
    with pytest.raises(InputError, match="w4a16"):
        run_register(root, gated(root, parts, passed=True, ships="w4a16"), key="gone")


def test_inputs_of_another_store_are_refused(made, tmp_path):
    _, parts = made
    with pytest.raises(InputError, match="not in the store"):
        run_register(tmp_path / "other", parts)
    assert not (tmp_path / "other" / "mlflow.db").exists()


def test_an_earlier_release_can_be_put_back_into_production(made):
    root, parts = made
    first = run_register(root, parts, key="first")
    run_register(root, gated(root, parts, passed=True, ships="w8a8"), key="second")
    assert production(root).release == "register/second"
    put_into_production(root, "register/first")
    assert production(root).release == f"register/{first.folder.name}"
