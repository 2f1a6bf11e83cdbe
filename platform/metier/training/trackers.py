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
OPEN = ("RUNNING", "KILLED")  # a run that ended so is gone on with; SIGKILL leaves it running
OFFLINE = ("offline", "disabled", "dryrun")


class Mlflow:
    """A run in `mlflow.db`, beside the model registry. A killed run of the same artifact is gone on with."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        from metier.serving.registry import mlflow_client

        folder.mkdir(parents=True, exist_ok=True)
        self._client = mlflow_client(folder)
        experiment = self._experiment(folder, f"{EXPERIMENT}/{identity.step}")
        known = self._client.search_runs([experiment], f"tags.key = '{identity.key}'")  # the newest first
        self._waiting: list[Any] = []
        self._steps: set[int] = set()
        self._last_step = self._last_point = 0  # that an earlier attempt wrote
        if found := [run.info.run_id for run in known if run.info.status in OPEN]:
            self._run = found[0]
            self._client.update_run(self._run, status="RUNNING")
            self._last_step, self._last_point = (self._last(name) for name in ("train/loss", "checkpoint/train_loss"))
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

    def _last(self, name: str) -> int:
        return max([0, *(metric.step for metric in self._client.get_metric_history(self._run, name))])

    def numbers(self, step: int, numbers: Numbers) -> None:
        """Writes when enough steps are together, and at each checkpoint."""
        from mlflow.entities import Metric

        of_point = any(name.startswith("checkpoint/") for name in numbers)
        if step <= (self._last_point if of_point else self._last_step):
            return
        now = int(time.time() * 1000)
        self._waiting += [Metric(name, value, now, step) for name, value in numbers.items()]
        self._steps.add(step)
        if len(self._steps) >= FLUSH_STEPS or of_point:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting, self._steps = self._waiting, [], set()
        for start in range(0, len(waiting), 1000):  # MLflow takes no more at once
            self._client.log_batch(self._run, metrics=waiting[start : start + 1000])

    def close(self, verdict: str, killed: bool = False) -> None:
        """Ends the run: finished with a verdict, failed or killed without one."""
        self._flush()
        if verdict:
            self._client.set_tag(self._run, "mlflow.note.content", verdict[:LONGEST])
        self._client.set_terminated(self._run, "FINISHED" if verdict else "KILLED" if killed else "FAILED")


def _params(identity: Identity) -> list[Any]:
    from mlflow.entities import Param

    return [Param(name, value[:LONGEST]) for name, value in flat(identity.settings).items()]


class TensorBoard:
    """Event files in `tensorboard/<step>/<key>`: `tensorboard --logdir STORE/tensorboard` shows all runs together.

    Each attempt has a file of its own. It begins where training does, and says that what earlier files hold of that step
    and those behind it is void: TensorBoard then shows each step once.
    """

    def __init__(self, folder: Path, identity: Identity) -> None:
        refuse_missing(["tensorboard"])
        self._folder = folder / "tensorboard" / identity.step / identity.key
        self._settings = flat({"key": identity.key} | identity.settings | identity.tags)
        self._writer: Any = None

    def _opened(self, first: int | None) -> Any:
        """The file. `first`: the first step of this attempt; None where it has none."""
        if self._writer is None:
            from tensorboardX import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=first)
            told = "\n".join(f"    {name}: {value}" for name, value in self._settings.items())
            self._writer.add_text("settings", told)
        return self._writer

    def numbers(self, step: int, numbers: Numbers) -> None:
        """Writes them."""
        for name, value in numbers.items():
            self._opened(step).add_scalar(name, value, step)

    def close(self, verdict: str, killed: bool = False) -> None:
        """Writes the verdict and closes the file."""
        writer = self._opened(None)
        writer.add_text("verdict", verdict or f"training {'was killed' if killed else 'failed'}")
        writer.close()


class Wandb:
    """A run in the project `metier`; its key comes from the environment or the netrc file, WANDB_MODE is respected.

    A run that is gone on with tells which step was its last, and nothing up to there is written again. Offline it can't be
    asked: an attempt that goes on then writes steps anew which the one before it wrote behind its last checkpoint.
    """

    def __init__(self, folder: Path, identity: Identity) -> None:
        refuse_missing(["wandb"])
        if os.environ.get("WANDB_MODE") not in OFFLINE and not _has_key():
            raise InputError(f"resources.train.track wandb: there is no key: set {KEY}, or WANDB_MODE=offline")
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
            raise InputError(f"resources.train.track wandb: {' '.join(str(error).split())[:200]}") from None
        self._last = int(self._run.summary.get("step") or 0)  # of an earlier attempt

    def numbers(self, step: int, numbers: Numbers) -> None:
        """Writes them. W&B's own step may not go back, so ours is a number like the others."""
        of_point = any(name.startswith("checkpoint/") for name in numbers)
        if step > self._last or (of_point and step == self._last):  # the kill came while that point was taken
            self._run.log({**numbers, "step": step})

    def close(self, verdict: str, killed: bool = False) -> None:
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
