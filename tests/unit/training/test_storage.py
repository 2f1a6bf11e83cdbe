from __future__ import annotations

import pytest

from metier.errors import MachineError
from metier.training.storage import WRITING, Storage
from tests.fixtures.object_store import object_store
from tests.fixtures.object_store import put as fill


@pytest.fixture(scope="module")
def bucket():
    """The environment of a client, with the URL of a bucket on a real S3 server on the loopback."""
    with object_store() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        fill("checkpoints", {})
        yield "s3://checkpoints"


@pytest.fixture(params=["here", "s3"])
def storage(request, tmp_path):
    if request.param == "here":
        return Storage(str(tmp_path / "checkpoints"))
    return Storage(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


def put(storage: Storage, name: str, text: str) -> None:
    with storage.scratch() as scratch:
        (scratch / "file").write_text(text)
        storage.put(name, scratch / "file")


def test_files_are_put_named_read_and_removed(storage):
    assert storage.names() == set()
    put(storage, "step-1/a.txt", "one")
    put(storage, "step-1/b.txt", "two")
    put(storage, "step-1/a.txt", "three")
    assert storage.names() == {"step-1/a.txt", "step-1/b.txt"}
    assert storage.text("step-1/a.txt") == "three"
    copy = storage.get("step-1/b.txt")
    assert copy.read_text() == "two"
    storage.release(copy)
    assert storage.text("step-1/b.txt") == "two"
    storage.remove("step-1/a.txt")
    assert storage.names() == {"step-1/b.txt"}


def test_what_is_being_written_is_not_there_yet(tmp_path):
    storage = Storage(str(tmp_path))
    with storage.scratch() as scratch:
        (scratch / "half").write_text("ha")
        assert storage.names() == set()
        assert scratch.name.startswith(WRITING)
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_is_not_there_is_one_line(bucket):
    storage = Storage("s3://nowhere/run")
    with pytest.raises(MachineError, match=r"^s3://nowhere/run: can't be written to \(") as caught:
        put(storage, "a.txt", "one")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_lies_in_a_bucket_as_it_lies_here(bucket):
    """Through the saver, with the tensors of a real engine."""
    import torch

    from metier.training import checkpoints
    from metier.training.engine import Peers, Replicated

    model = torch.nn.Linear(3, 2)
    engine = Replicated(model, torch.optim.AdamW(model.parameters()), "cpu", Peers())
    storage = Storage(f"{bucket}/run")
    for step in (1, 2):
        saver = checkpoints.Saver(storage, engine)
        saver.save({"step": step, "identity": {}, "history": {}, "optimiser": "adamw"}, [1])
        saver.close()
    assert list(checkpoints.complete(storage)) == [1, 2]
    other = Replicated(torch.nn.Linear(3, 2), torch.optim.AdamW([torch.zeros(1)]), "cpu", Peers())
    checkpoints.restore(storage, checkpoints.newest(storage), other)
    assert all(torch.equal(a, b) for a, b in zip(other.model.parameters(), model.parameters(), strict=True))


def test_a_place_that_can_not_be_written_to_is_known_before_anything_is(storage, tmp_path):
    storage.refuse_unwritable()
    assert storage.names() == set()
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="can't be written to"):
        Storage(str(tmp_path / "file" / "sub")).refuse_unwritable()
