"""Searches the settings of training and of the blend: Optuna proposes, ASHA prunes, the dev exam decides.

Trials train as the train stage does, on a share of the blended rows. Only the winner's settings leave this stage: train (and
blend, where its settings were searched) take them as an input, and make one model of all rows. Validation rows stay held
out there too, for they and the dev exam choose the checkpoint. They are blended once, with the settings that the file gives,
so that every trial is measured by the same rows.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, model_validator

from metier.config import Resources, StageConfig, TrainResources
from metier.errors import InputError
from metier.execution.step import Context, Input, Progress, Source, Stage, Step
from metier.execution.sweep import Plan, sweep
from metier.execution.train_task import CHECKPOINTS, Task, trained
from metier.execution.training import Told
from metier.lineage.artifact import Artifact, Writer
from metier.lineage.fingerprint import digest
from metier.lineage.manifest import MANIFEST, Counts
from metier.models import ModelSource, resolve
from metier.records import Dialogue, Passage, Question, Setting, Trial, record_id
from metier.retrieval.embedding import EmbedderSource
from metier.stages import blend, train
from metier.stages.blend import Config as Blend
from metier.stages.dev_exam import dev_exam
from metier.stages.train import Config as Train
from metier.training.checkpoints import newest
from metier.training.course import History
from metier.training.dev_exam import DevQuestion
from metier.training.encoding import encoded, end_tokens
from metier.training.forecast import forecast
from metier.training.refusals import reasons_of, refuse_long_prompts
from metier.training.space import BLEND, WINNER, Dimension, Range, Value, dimensions, of_blend, of_train, with_settings
from metier.training.storage import Storage
from metier.training.study import importances
from metier.training.trials import Outcome, objective, winner

TRIALS, SEARCH = "trials", "search.json"
REFUSABLE = ("method.method", "method.dora", "optimiser", "checkpointing")  # choices that resources may exclude
SIZES = ("method.rank", "pack_tokens", "batch_tokens", "piece_tokens")  # more of them never needs less memory


class Search(StageConfig):
    """What is searched, and how long."""

    search: dict[str, Range] = Field(default_factory=dict)
    """Settings by their place (`learning_rate`, `method.rank`, `epochs`; of the blend `blend.retrieval_share`), each with
    `{low: 1e-4, high: 3e-3, log: true}` or `{choices: [8, 16]}`; empty: nothing is searched."""
    trials: int = Field(16, ge=1, le=10_000)
    """Trials in all. The first ten are drawn at random, later ones near the best."""
    max_parallel: int = Field(1, ge=1, le=1000)
    """Most trials at a time, where the resources allow it: those that run together do not learn from each other."""
    grace_checkpoints: int = Field(1, ge=1, le=1000)
    """Checkpoints before a trial may be given up; as many as the longest trial has: none ever is."""
    reduction_factor: float = Field(3, gt=1, le=100)
    """At checkpoint grace_checkpoints, and then at this many times the last one, the best of so many go on."""
    data_share: float = Field(1, gt=0, le=1)
    """Share of the documents whose rows trials train on. With less, the best learning rate and epochs are those of less."""
    seed: int = Field(0, ge=0)
    """Another seed draws other trials."""

    @property
    def searches_blend(self) -> bool:
        """Whether settings of the blend vary."""
        return any(name.startswith(BLEND) for name in self.search)


class Config(Search):
    """The search, around the settings of the stages that it is for."""

    blend: Blend = Blend()
    """The blend, where the search does not vary it; in an experiment that of `stages.blend`."""
    train: Train = Train()
    """Training, where the search does not vary it; in an experiment that of `stages.train`."""

    @model_validator(mode="after")
    def _fits(self) -> Config:
        self.space()
        return self

    def space(self) -> list[Dimension]:
        """The settings that vary. Raises ValueError for one that its stage does not take."""
        return dimensions(self.search, self.train, self.blend)

    def most_checkpoints(self) -> int:
        """Checkpoints of the longest trial."""
        epochs = next((one for one in self.space() if one.name == "epochs"), None)
        longest = max([epochs.high, *map(float, epochs.choices)]) if epochs else self.train.epochs
        return round(longest * self.train.checkpoints_per_epoch)


@dataclass(frozen=True)
class _Trainer:
    """Trains one trial, in its own process: all that this needs, and nothing of the driver's."""

    config: Config
    resources: TrainResources
    inputs: Mapping[str, Artifact | Source]
    base: str
    questions: Sequence[DevQuestion]
    mixed: Path  # the blend as the file describes it

    def __call__(self, settings: Mapping[str, Value], folder: Path, report: Callable[[Told], None]) -> None:
        state = newest(Storage(str(folder / CHECKPOINTS)))
        for point in History.from_json(state["history"]).points if state else ():  # a kill may have kept it untold
            report(point)
        config = with_settings(self.config.train, of_train(settings))
        trained(self._task(settings, config, folder), self.resources, folder, report)

    def _task(self, settings: Mapping[str, Value], config: Train, folder: Path) -> Task:
        """Rows of the trial's own blend, and what all trials are measured by."""
        from metier.inference.transformers_engine import load_tokenizer

        usual = Artifact(self.mixed)
        own = self._blended(settings, folder) if of_blend(settings) else usual
        chosen = [d for d in own.records(Dialogue) if _chance(self.config.seed, d.root_id) < self.config.data_share]
        tokenizer, longest = load_tokenizer(self.base), self.config.train.max_tokens
        ends = end_tokens(self.base, tokenizer)
        rows, _, lost = encoded(chosen, tokenizer, longest, ends)
        if not rows:
            raise InputError(f"no dialogue of at most {longest} tokens to train on ({reasons_of(lost)})")
        held_out, _, _ = encoded(usual.records(Dialogue, "validation"), tokenizer, longest, ends)
        return Task(
            base=self.base,
            fingerprint=self.inputs["base"].fingerprint,
            method=config.method,
            recipe=config.recipe(),
            train=rows,
            held_out=held_out,
            questions=self.questions,
            dev_max_tokens=config.dev_max_tokens,
        )

    def _blended(self, settings: Mapping[str, Value], folder: Path) -> Artifact:
        config = with_settings(self.config.blend, of_blend(settings))
        return blend_in(folder / "blend", config, self.inputs, lambda done, total, what: None)


def blend_in(folder: Path, config: Blend, inputs: Mapping[str, Artifact | Source], progress: Progress) -> Artifact:
    """What the blend stage makes of the inputs with this config, kept in `folder`; found there if it was made before."""
    if (folder / MANIFEST).exists():
        return Artifact(folder)
    stage = blend.STAGE
    given = {name: inputs[name] for name in stage.inputs if name in inputs}
    context = Context(stage.name, config, Resources(), given, Writer(folder), stage, progress)
    counts, prints = blend.run(context), {name: one.fingerprint for name, one in given.items()}
    return context.output.commit(stage=stage.name, step=stage.name, revision=stage.revision, config=config.identity(),
                                 inputs=prints, counts=counts)  # fmt: skip


def _chance(seed: int, root_id: str) -> float:
    """A number in [0, 1) for each document."""
    return int(record_id("share", [seed, root_id])[:12], 16) / 16**12


def record_of(outcome: Outcome) -> Trial:
    """A trial as a row."""
    best = outcome.best
    settings = tuple(Setting(name=n, value=json.dumps(v)) for n, v in sorted(outcome.settings.items()))
    return Trial(
        settings=settings,
        state=outcome.state,
        checkpoints=len(outcome.points),
        step=best.step if best else None,
        score=best.dev_score if best else None,
        error=best.dev_error if best else None,
        val_loss=best.val_loss if best else None,
        reason=outcome.reason,
    )


def ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The winner, then the other trials that came to their end, the pruned, the failed; better ones first."""
    best = winner(outcomes)
    states = ("complete", "pruned", "failed")

    def rank(one: Outcome) -> tuple[bool, int, float, str]:
        value = objective(one.points) if one.points else -1.0
        return one is not best, states.index(one.state), -value, repr(sorted(one.settings.items()))

    return sorted(outcomes, key=rank)


def check(step: Step) -> None:
    """Refuses at the plan what training would refuse there, in any trial. Tracking and checkpoints are train's alone."""
    config, on, base = step.config, step.resources, step.inputs["base"]
    if isinstance(config, Config) and isinstance(on, TrainResources):
        _refuse_unfit_trials(config, on, base.location if isinstance(base, ModelSource) else "")
        train.check_base(base, config.train)


def _refuse_unfit_trials(config: Config, on: TrainResources, base: str) -> None:
    """Raises InputError where a combination of choices is refused, or does not fit with the largest numbers of the space.

    It names the settings whose other choice, or smallest number, would mend it. `base`: empty where it is not known yet.
    """
    space = {one.name: one for one in config.space()}
    others = {name: space[name].choices for name in REFUSABLE if name in space}
    ranges = {
        name: sorted(one.choices or (int(one.low), int(one.high))) for name, one in space.items() if name in SIZES
    }
    tried = [
        dict(zip(others, values, strict=True)) | {name: values[-1] for name, values in ranges.items()}
        for values in itertools.product(*others.values())
    ]
    refused = [(settings, said) for settings in tried if (said := _refused(settings, config, on, base))]
    instead = others | {name: tuple(values[:1]) for name, values in ranges.items()}
    for settings, said in refused:
        guilty = [
            f"stages.tune.search.{name} {value}"
            for name, value in settings.items()
            if any(not _refused(settings | {name: other}, config, on, base) for other in instead[name])
        ]
        if guilty:
            raise InputError(f"{', '.join(guilty)}: {said}")
    if refused:
        settings, said = refused[0]
        named = ", ".join(f"{name} {value}" for name, value in settings.items())
        raise InputError(f"tune, in a trial with {named}: {said}" if named else f"tune: {said}")


def _refused(settings: Mapping[str, Value], config: Config, on: TrainResources, base: str) -> str:
    """Why a trial can't be trained; empty where it can."""
    one = with_settings(config.train, settings)
    try:
        train.refuse_apart(one, on)
        if base:
            forecast(base, one.method, one.recipe(), one.max_tokens, on)
    except InputError as fault:
        return str(fault).replace("resources.train", "resources.tune")
    return ""


def run(context: Context[Config]) -> Counts:
    """Writes trials, winner.json and search.json; goes on from a killed attempt's trials and their checkpoints."""
    config, base = context.config, resolve(context.location("base"))
    if not config.search:
        raise InputError(f"{context.step}: search is empty; name settings and their ranges")
    assert isinstance(context.resources, TrainResources)
    resources = context.resources.model_copy(update={"checkpoints": ""})  # each trial's lie, and go, with its folder
    work = context.output.work.absolute()
    questions = dev_exam(context, config.train.dev_questions, config.train.seed, config.train.passages)
    tokenizer, prompts = train.tokenizer_of(base, config.train), ((q.question.id, q.messages) for q in questions)
    refuse_long_prompts(prompts, tokenizer, config.train.dev_max_tokens, base)
    blend_in(work / "blend", config.blend, context.inputs, context.progress)
    trainer = _Trainer(config, resources, context.inputs, base, questions, work / "blend")
    plan = Plan(
        space=config.space(),
        trials=config.trials,
        max_parallel=config.max_parallel,
        grace=config.grace_checkpoints,
        most=config.most_checkpoints(),
        reduction=config.reduction_factor,
        seed=config.seed,
    )
    outcomes = ranked(sweep(plan, work / "trials", trainer, context.progress))
    _write_outputs(context, plan.space, outcomes)
    return Counts(read=len(outcomes), kept=sum(one.state == "complete" for one in outcomes))


def _write_outputs(context: Context[Config], space: Sequence[Dimension], outcomes: Sequence[Outcome]) -> None:
    rows = [record_of(one) for one in outcomes]
    best = {"settings": dict(sorted(outcomes[0].settings.items())), "trial": rows[0].id}
    context.output.table(TRIALS, Trial, rows)
    context.output.json(WINNER, best)
    found = {
        "space": [dataclasses.asdict(one) for one in space],
        "importances": importances(space, outcomes, context.config.seed),
        "seconds": {row.id: one.seconds for row, one in zip(rows, outcomes, strict=True)},
    }
    context.output.json(SEARCH, found)
    context.output.content(SEARCH, digest(best))  # it tells times


STAGE = Stage(
    name="tune",
    revision=1,
    summary="Searches settings of training and of the blend on Ray Tune: Optuna, ASHA, the dev exam as its aim.",
    config=Config,
    inputs={
        "dialogues": Input("pairs to blend, as the blend stage takes them", record=Dialogue),
        "passages": Input("passages of the documents", record=Passage),
        "index": Input("output of the index stage"),
        "embedder": Input("embedding model of the index", opens=EmbedderSource),
        "questions": Input("exam questions; the dev half is sat at each checkpoint of each trial", record=Question),
        "base": Input("base model: a name, a folder or a hub id", opens=ModelSource),
    },
    outputs={
        TRIALS: Trial,
        WINNER: "the settings that train and blend take",
        SEARCH: "the space, how much each setting mattered, and how long each trial took",
    },
    run=run,
    resources=TrainResources,
    check=check,
)
