"""What real MLflow, TensorBoard and (where it is installed) W&B hold of a course."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from metier.errors import InputError
from metier.serving.registry import DATABASE, mlflow_client
from metier.training.course import Point, StepReport
from metier.training.meter import Meter
from metier.training.tracking import Identity, Tracking, opened, tracking_folder

WHO = Identity(
    step="train",
    key="0123456789abcdef",
    settings={"epochs": 2, "method": {"method": "lora", "rank": 16}},
    tags={"git": "abc"},
)
VERDICT = "No overfitting seen; checkpoint 4 of 4 is kept."


def report(step: int) -> StepReport:
    return StepReport(step, 4, 2.0 / step, 1e-4, 0.5, 900, 1000, 100, 0.5)


def tell(tracking, first: int = 1, last: int = 4) -> None:
    for step in range(first, last + 1):
        tracking.step(report(step))
        if step % 2 == 0:
            tracking.point(Point(step, step / 4, 2.0 / step, 1.5, 0.6, 0.1, 12.0, 0.2))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store in which one run was tracked from its beginning to its end, in another working folder."""
    folder, elsewhere = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("elsewhere")
    here = Path.cwd()
    os.chdir(elsewhere)
    try:
        tracking = opened(["mlflow", "tensorboard"], folder, WHO, Meter(usd_per_hour=2.0))
        tell(tracking)
        tracking.close(VERDICT)
        assert list(elsewhere.iterdir()) == []
    finally:
        os.chdir(here)
    return folder


def runs(store):
    client = mlflow_client(store)
    return client, client.search_runs([client.get_experiment_by_name("metier/train").experiment_id])


def test_mlflow_holds_every_step_and_checkpoint_beside_the_registry(store):
    client, (run,) = runs(store)
    assert (store / DATABASE).exists()
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "train/loss")] == [
        (step, 2.0 / step) for step in range(1, 5)
    ]
    assert run.data.metrics["checkpoint/dev_score"] == 0.6
    assert run.data.metrics["pace/tokens_per_second"] == 1800
    assert run.data.metrics["pace/padding_share"] == pytest.approx(0.1)
    assert run.data.metrics["pace/cost_usd"] >= 0
    assert "pace/mfu" not in run.data.metrics
    assert run.data.params == {"epochs": "2", "method.method": "lora", "method.rank": "16"}
    assert (run.data.tags["git"], run.data.tags["key"]) == ("abc", WHO.key)
    assert run.data.tags["mlflow.note.content"] == VERDICT
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith((store / "mlflow-artifacts").as_uri())


def events(file):
    """The records of an event file, each between its length and its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, at = file.read_bytes(), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        yield Event.FromString(data[at + 12 : at + 12 + size])
        at += 16 + size


def test_tensorboard_holds_the_same_numbers(store):
    (file,) = (store / "tensorboard" / "train" / WHO.key).iterdir()
    seen = {(v.tag, event.step): v.simple_value for event in events(file) for v in event.summary.value}
    assert [seen["train/loss", step] for step in range(1, 5)] == pytest.approx([2.0, 1.0, 2 / 3, 0.5])
    assert seen["checkpoint/val_loss", 4] == 1.5


def test_a_run_that_was_killed_is_gone_on_with_and_no_step_stands_twice(store):
    who = dataclasses.replace(WHO, key="fedcba")
    killed = opened(["mlflow"], store, who, Meter())
    tell(killed, last=3)  # step 3 was not written yet
    again = opened(["mlflow"], store, who, Meter())
    tell(again)
    tell(again, first=2)  # a worker was restarted from its checkpoint
    again.close(VERDICT)
    client, found = runs(store)
    (run,) = [r for r in found if r.data.tags["key"] == "fedcba"]
    for name, steps in (("train/loss", [1, 2, 3, 4]), ("checkpoint/val_loss", [2, 4])):
        assert [m.step for m in client.get_metric_history(run.info.run_id, name)] == steps
    assert opened(["mlflow"], store, who, Meter()).step(report(1))  # what is finished is a run of its own
    assert len([r for r in runs(store)[1] if r.data.tags["key"] == "fedcba"]) == 2


def test_a_second_event_file_voids_what_the_first_holds_from_its_first_step_on(tmp_path):
    files = []
    for first in (1, 3):  # the second attempt goes on from the checkpoint at step 2
        tracking = opened(["tensorboard"], tmp_path, WHO, Meter())
        tell(tracking, first=first)
        tell(tracking, first=3)  # a worker was restarted
        tracking.close("")
        (file,) = (tmp_path / "tensorboard" / "train" / WHO.key).iterdir()
        files.append(file.rename(tmp_path / f"attempt-{first}"))  # their names tell seconds apart, no less
    shown: list[int] = []
    for event in (one for file in files for one in events(file)):
        if event.session_log.status == 1:  # START: as TensorBoard reads it
            shown = [step for step in shown if step < event.step]
        shown += [event.step for value in event.summary.value if value.tag == "train/loss"]
    assert shown == [1, 2, 3, 4]


def test_training_that_failed_is_a_failed_run(store):
    tracking = opened(["mlflow"], store, dataclasses.replace(WHO, key="bad"), Meter())
    tracking.close("")
    assert [r.info.status for r in runs(store)[1] if r.data.tags["key"] == "bad"] == ["FAILED"]


def test_a_run_that_the_user_ended_is_a_killed_one_and_is_gone_on_with(store):
    who = dataclasses.replace(WHO, key="ended")
    ended = opened(["mlflow"], store, who, Meter())
    tell(ended, last=3)
    ended.close("", killed=True)
    assert [r.info.status for r in runs(store)[1] if r.data.tags["key"] == "ended"] == ["KILLED"]
    again = opened(["mlflow"], store, who, Meter())
    tell(again, first=3)
    again.close(VERDICT)
    client, found = runs(store)
    (run,) = [r for r in found if r.data.tags["key"] == "ended"]
    assert run.info.status == "FINISHED"
    assert [m.step for m in client.get_metric_history(run.info.run_id, "train/loss")] == [1, 2, 3, 4]


class Network:
    """A place behind a network that is gone from the third step on."""

    def __init__(self, lasts: int) -> None:
        self.told: list[int] = []
        self.lasts = lasts
        self.verdict = ""

    def numbers(self, step, numbers):
        if step > self.lasts:
            raise ConnectionError("no route\nto host")
        self.told.append(step)

    def close(self, verdict, killed=False):
        self.verdict = verdict


def test_a_tracker_that_fails_is_said_once_and_the_others_go_on():
    said: list[str] = []
    gone, there = Network(2), Network(99)
    tracking = Tracking({"wandb": gone, "tensorboard": there}, Meter(), said.append)
    tell(tracking)
    tracking.close(VERDICT)
    assert said == ["tracking in wandb ended, training goes on: no route to host"]
    assert (gone.told, gone.verdict) == ([1, 2, 2], "")
    assert (there.told, there.verdict) == ([1, 2, 2, 3, 4, 4], VERDICT)


def test_what_is_not_installed_is_refused_by_the_name_of_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        InputError,
        match=r"^resources\.train\.track wandb: the package wandb is not installed: pip install 'metier\[wandb\]'",
    ):
        opened(["wandb"], tmp_path, WHO, Meter())
    with pytest.raises(InputError, match=r"tensorboardX is not installed: pip install tensorboardX$"):
        opened(["tensorboard"], tmp_path, WHO, Meter())


def test_wandb_without_a_key_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="there is no key: set WANDB_API_KEY, or WANDB_MODE=offline"):
        opened(["wandb"], tmp_path, WHO, Meter())


def test_an_output_in_a_store_is_tracked_there_and_another_beside_itself():
    assert tracking_folder(Path("/s/train/0123"), "train") == Path("/s")
    assert tracking_folder(Path("/home/me/out"), "train") == Path("/home/me/out.tracking")
