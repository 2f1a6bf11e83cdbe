"""The three places: MLflow in the store's own database, TensorBoard's event files, Weights & Biases."""

from __future__ import annotations

import netrc
import os
import time
from pathlib import Path
from typing import Any

from metier.errors import InputError
from metier.training.tracking import Identity, Numbers, flat, refuse_missing

EXPERIMENT = "metier"  # the project in W&B, and before the step's name in MLflow
FLUSH_STEPS = 20  # a transaction for each step would cost more than small steps
LONGEST = 5000  # characters of a tag's value in MLflow
KEY = "WANDB_API_KEY"
OFFLINE = ("offline", "disabled", "dryrun")


class Mlflow:
    """A run in `mlflow.db`, beside the model registry. A killed run of the same artifact is gone on with."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        from metier.serving.registry import mlflow_client

        folder.mkdir(parents=True, exist_ok=True)
        self._client = mlflow_client(folder)
        experiment = self._experiment(folder, f"{EXPERIMENT}/{identity.step}")
        same = f"tags.key = '{identity.key}' and attributes.status = 'RUNNING'"
        found = self._client.search_runs([experiment], same)
        self._waiting: list[Any] = []
        self._steps: set[int] = set()
        self.done = 0  # the last step that an earlier attempt wrote
        if found:
            self._run = found[0].info.run_id
            self.done = max([0, *(m.step for m in self._client.get_metric_history(self._run, "train/loss"))])
            return
        tags = {name: value[:LONGEST] for name, value in ({"key": identity.key} | identity.tags).items()}
        self._run = self._client.create_run(experiment, tags=tags, run_name=identity.key[:12]).info.run_id
        self._client.log_batch(self._run, params=_params(identity))

    def _experiment(self, folder: Path, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        if known:
            return str(known.experiment_id)
        place = (folder / "mlflow-artifacts").absolute().as_uri()  # MLflow's own choice is the working directory
        return str(self._client.create_experiment(name, artifact_location=place))

    def numbers(self, step: int, numbers: Numbers) -> None:
        """Writes when enough steps are together, and at each checkpoint."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(name, value, now, step) for name, value in numbers.items()]
        self._steps.add(step)
        if len(self._steps) >= FLUSH_STEPS or any(name.startswith("checkpoint/") for name in numbers):
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting, self._steps = self._waiting, [], set()
        for start in range(0, len(waiting), 1000):  # MLflow takes no more at once
            self._client.log_batch(self._run, metrics=waiting[start : start + 1000])

    def close(self, verdict: str) -> None:
        """Ends the run: finished with a verdict, failed without one."""
        self._flush()
        if verdict:
            self._client.set_tag(self._run, "mlflow.note.content", verdict[:LONGEST])
        self._client.set_terminated(self._run, "FINISHED" if verdict else "FAILED")


def _params(identity: Identity) -> list[Any]:
    from mlflow.entities import Param

    return [Param(name, value[:LONGEST]) for name, value in flat(identity.settings).items()]


class TensorBoard:
    """Event files in `tensorboard/<step>/<key>`: `tensorboard --logdir STORE/tensorboard` shows all runs together."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        refuse_missing("tensorboardX", "tensorboard")
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard" / identity.step / identity.key))
        told = flat({"key": identity.key} | identity.settings | identity.tags)
        self._writer.add_text("settings", "\n".join(f"    {name}: {value}" for name, value in told.items()))

    def numbers(self, step: int, numbers: Numbers) -> None:
        """Writes them."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self, verdict: str) -> None:
        """Writes the verdict and closes the file."""
        self._writer.add_text("verdict", verdict or "training failed")
        self._writer.close()


class Wandb:
    """A run in the project `metier`; its key comes from the environment or the netrc file, WANDB_MODE is respected."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        refuse_missing("wandb", "wandb")
        if os.environ.get("WANDB_MODE") not in OFFLINE and not _has_key():
            raise InputError(f"train.track wandb: there is no key: set {KEY}, or WANDB_MODE=offline")
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("WANDB_SILENT", "true")
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", EXPERIMENT),
                name=f"{identity.step} {identity.key[:12]}",
                id=identity.key[:32],  # the same artifact is the same run, in each attempt
                resume="allow",
                config={**identity.settings, **identity.tags},
                dir=str(folder),
                settings=wandb.Settings(console="off", silent=True, save_code=False, disable_git=True),
            )
        except wandb.errors.Error as error:
            raise InputError(f"train.track wandb: {' '.join(str(error).split())[:200]}") from None

    def numbers(self, step: int, numbers: Numbers) -> None:
        """Writes them. W&B's own step may not go back, so ours is a number like the others."""
        self._run.log({**numbers, "step": step})

    def close(self, verdict: str) -> None:
        """Ends the run; without a verdict as a failed one."""
        if verdict:
            self._run.summary["verdict"] = verdict
        self._run.finish(exit_code=0 if verdict else 1)


def _has_key() -> bool:
    if os.environ.get(KEY):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("://")[-1].split("/")[0].split(":")[0]
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
