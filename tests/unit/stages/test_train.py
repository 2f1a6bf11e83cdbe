from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from metier.config import TrainResources
from metier.errors import InputError
from metier.execution import train_task
from metier.execution.plan import make_plan
from metier.execution.runner import execute
from metier.execution.step import Step
from metier.inference.transformers_engine import load_tokenizer
from metier.lineage.artifact import Artifact, Writer
from metier.lineage.manifest import Counts
from metier.lineage.source import PathSource
from metier.lineage.store import Store
from metier.models import ModelSource
from metier.records import Dialogue, Message, Question, Rejection
from metier.stages import train
from metier.training.model import LoraMethod
from metier.training.space import WINNER
from tests.fixtures.stage_alone import Silent, as_table
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.training_job import RECIPE, tiny_dialogues, tiny_questions

CONFIG = train.Config(**RECIPE, dev_questions=2, dev_max_tokens=4, max_tokens=200)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    texts = [m.content for d in tiny_dialogues(8) for m in d.messages]
    return make_tiny_model(tmp_path_factory.mktemp("model"), texts)


def blended(folder, kept: list[Dialogue], validation: list[Dialogue]) -> Artifact:
    writer = Writer(folder)
    writer.table("kept", Dialogue, kept)
    writer.table("validation", Dialogue, validation)
    return writer.commit(stage="blend", step="blend", revision=1, config={}, inputs={}, counts=Counts())


def run(
    folder, base, kept: list[Dialogue], validation: list[Dialogue], config=CONFIG, writer=None, watcher=None, **given
) -> Artifact:
    inputs = {
        "dialogues": blended(folder / "blend", kept, validation),
        "questions": as_table(folder / "questions", [*tiny_questions(4), *tiny_questions(4, "final")], Question),
        "base": ModelSource(str(base)),
        **given,
    }
    step = Step(name="train", stage=train.STAGE, config=config, resources=TrainResources(), inputs={})
    fingerprints = {name: value.fingerprint for name, value in inputs.items()}
    return execute(step, inputs, fingerprints, writer or Writer(folder / "out"), watcher or Silent())


LONG = dataclasses.replace(
    tiny_dialogues(1)[0],
    id="",
    root_id="",
    messages=(Message(role="user", content="Say it. " * 200), Message(role="assistant", content="It.")),
)


@pytest.fixture(scope="module")
def made(base, tmp_path_factory, ray_cluster):
    folder = tmp_path_factory.mktemp("train")
    return run(folder, base, [*tiny_dialogues(24), LONG], [*tiny_dialogues(6, "dev"), LONG])


def test_what_is_too_long_is_rejected_with_its_length_never_cut(made):
    assert made.manifest.counts == Counts(read=24 + 6 + 2, kept=24 + 6, rejected={"too_long": 2})
    rejected = list(made.records(Rejection, "rejected"))
    assert {r.record_id for r in rejected} == {LONG.id}
    assert all(int(r.evidence.split()[0]) > 200 for r in rejected)
    assert {d.id for d in made.records(Dialogue)} == {d.id for d in tiny_dialogues(24)}


def test_history_and_verdict_tell_the_course(made):
    history, verdict = made.json("history.json"), made.json("verdict.json")
    assert [p["step"] for p in history["points"]] == sorted(p["step"] for p in history["points"])
    assert all(p["val_loss"] > 0 and p["dev_score"] is not None for p in history["points"])
    assert verdict["best_step"] in [p["step"] for p in history["points"]]
    assert verdict["text"]
    assert 0 < verdict["trainable"] < verdict["total"]
    assert len(history["losses"]) == history["points"][-1]["step"]


def test_the_adapter_travels_with_its_tokenizer_and_names_no_path(made, base):
    folder = made.path("adapter")
    assert load_tokenizer(str(folder)).chat_template == load_tokenizer(str(base)).chat_template
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] is None
    assert not any(str(base) in p.read_text() for p in folder.iterdir() if p.suffix in (".json", ".md", ".jinja"))
    assert not made.path("work").exists()


def test_an_attempt_that_was_killed_at_the_end_trains_no_step_anew(made, base, tmp_path):
    kept, validation = [*tiny_dialogues(24), LONG], [*tiny_dialogues(6, "dev"), LONG]

    class Killed(Writer):
        def commit(self, **parts):
            raise KeyboardInterrupt

    class Watcher(Silent):
        def __init__(self):
            self.told = []

        def progress(self, step, done, total, what):
            self.told.append(what)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, base, kept, validation, writer=Killed(tmp_path / "out"))
    watcher = Watcher()
    again = run(tmp_path / "again", base, kept, validation, writer=Writer(tmp_path / "out"), watcher=watcher)
    assert again.fingerprint == made.fingerprint
    assert not [what for what in watcher.told if what.startswith("steps")]


def test_a_base_that_reads_less_than_max_tokens_is_refused(base, tmp_path):
    with pytest.raises(InputError, match=r"train\.max_tokens 4096 is more than the 2048 tokens"):
        run(tmp_path, base, tiny_dialogues(2), [], config=CONFIG.model_copy(update={"max_tokens": 4096}))


def test_nothing_short_enough_is_refused_before_anything_starts(base, tmp_path):
    with pytest.raises(InputError, match="no dialogue of at most 200 tokens"):
        run(tmp_path, base, [LONG], [])


def with_turns(*turns: tuple[str, str]) -> Dialogue:
    messages = tuple(Message(role=role, content=text) for role, text in turns)
    return dataclasses.replace(tiny_dialogues(1)[0], id="", root_id="", messages=messages)


ASKED = ("user", "What is the limit?")
NOTHING_TO_LEARN = [with_turns(ASKED, ("assistant", text)) for text in (" \n", "\t", "<|im_end|>")]


@pytest.mark.parametrize(
    ("changes", "kept", "said"),
    [
        ({"method": LoraMethod(targets=("q_proj", "w_pack"))}, None, "targets: w_pack matches no layer"),
        ({"dev_max_tokens": 2048}, None, r"dev_max_tokens 2048 exceed the 2048 tokens that the base can read"),
        ({}, NOTHING_TO_LEARN[:2], r"no dialogue of at most 200 tokens to train on \(2 empty_turn, e\.g\. the assistant's turn"),
        ({}, NOTHING_TO_LEARN, r"\(1 control_token, e\.g\. the assistant's turn spells <\|im_end\|>; 2 empty_turn, "),
        ({}, [], r"\(there is none\)"),
    ],
    ids=["target", "dev prompt", "empty answers", "nothing to learn", "no dialogue"],
)  # fmt: skip
def test_what_can_t_be_trained_is_refused_in_one_line_and_starts_nothing(
    base, tmp_path, monkeypatch, changes, kept, said
):
    def started(*arguments: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(train_task, "train_in", started)
    given = tiny_dialogues(2) if kept is None else kept
    with pytest.raises(InputError, match=said) as refused:
        run(tmp_path, base, given, [], config=CONFIG.model_copy(update=changes))
    assert "\n" not in str(refused.value)


def test_the_plan_refuses_a_base_by_its_files_alone(base, tmp_path):
    def planned(folder, **changes):
        sources = {name: ModelSource(str(folder)) for name in ("dialogues", "questions", "base")}
        make_plan([train.STAGE.step(CONFIG.model_copy(update=changes), **sources)], Store(tmp_path / "store"))

    planned(base)
    with pytest.raises(InputError, match=r"train\.max_tokens 4096 is more than the 2048 tokens"):
        planned(base, max_tokens=4096)
    plain = shutil.copytree(base, tmp_path / "plain", ignore=shutil.ignore_patterns("chat_template*"))
    with pytest.raises(InputError, match="no chat template"):
        planned(plain)
    with pytest.raises(InputError, match="targets: w_pack matches no layer"):
        planned(base, method=LoraMethod(targets=("w_pack",)))
    endless = shutil.copytree(base, tmp_path / "endless")
    template = endless / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_end|>", ""))
    with pytest.raises(InputError, match="the model would never learn to stop"):
        planned(endless)


@pytest.mark.parametrize(
    ("changes", "resources", "said"),
    [
        ({"optimiser": "adamw_8bit"}, {}, r"^train\.optimiser adamw_8bit needs a GPU, and resources\.train\.gpus is 0"),
        ({"optimiser": "adamw_8bit"}, {"engine": "fsdp2", "gpus": 1}, r"adamw_8bit can't be spread"),
        ({}, {"engine": "ddp", "offload": True}, r"^resources\.train\.offload: "),
        ({}, {"track": ("tensorboard",)}, r"track tensorboard: the package tensorboardX is not installed"),
        ({}, {"track": ("mlflow", "wandb")}, r"track wandb: the package wandb is not installed: pip install "),
        ({}, {"checkpoints": "{folder}/file"}, r"^resources\.train\.checkpoints \S+/file: \S+/file is a file: name a folder"),
        ({}, {"checkpoints": "{folder}/file/inner"}, r"file/inner: \S+/file is a file"),
        ({"dev_max_tokens": 2048}, {}, r"^train\.dev_max_tokens 2048 leaves a prompt .* nothing of the 2048 tokens"),
    ],
)  # fmt: skip
def test_the_plan_refuses_settings_that_training_would_refuse(base, tmp_path, monkeypatch, changes, resources, said):
    (tmp_path / "file").touch()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    given = {k: v.format(folder=tmp_path) if isinstance(v, str) else v for k, v in resources.items()}
    with pytest.raises(InputError, match=said) as refused:
        train.check(stepped(base, CONFIG.model_copy(update=changes), **given))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "resources"),
    [
        ({"optimiser": "adamw_8bit"}, {"gpus": 1}),
        ({}, {"checkpoints": "s3://bucket/place"}),
        ({}, {"checkpoints": "not/there/yet"}),
        ({"dev_max_tokens": 2047}, {}),
        ({"dev_max_tokens": 2048, "dev_questions": 0}, {}),
        ({}, {"track": ()}),
    ],
)
def test_the_plan_takes_what_training_takes(base, changes, resources):
    train.check(stepped(base, CONFIG.model_copy(update=changes), **resources))


def stepped(base, config, **resources) -> Step:
    inputs = {name: ModelSource(str(base)) for name in ("dialogues", "questions", "base")}
    return train.STAGE.step(config, TrainResources(**resources), **inputs)


def test_what_a_search_found_is_what_is_trained(base, tmp_path, ray_cluster):
    (tmp_path / WINNER).write_text('{"settings": {"epochs": 1, "method.rank": 2, "seed": 5, "blend.seed": 1}}')
    made = run(tmp_path, base, tiny_dialogues(4), [], settings=PathSource(str(tmp_path)))
    assert made.json("adapter/adapter_config.json")["r"] == 2
    assert made.json("history.json")["points"][-1]["epoch"] == 1
    verdict = made.json("verdict.json")
    assert (verdict["method"], verdict["seed"], verdict["passages"]) == ("lora", 5, 3)


def test_what_was_found_for_another_method_is_refused_before_anything_starts(base, tmp_path):
    (tmp_path / WINNER).write_text('{"settings": {"method.ranks": 2}}')
    with pytest.raises(InputError, match="found for other settings"):
        run(tmp_path, base, tiny_dialogues(4), [], settings=PathSource(str(tmp_path)))
