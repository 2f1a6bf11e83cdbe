"""The experiment file: one YAML file as one typed tree. What it says under `resources` never changes a result.

A key that does not exist is refused with the nearest one that does; every message names the file and the place.
"""

from __future__ import annotations

import difflib
import os
import re
import warnings
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator, model_validator

from metier.config import Resources, StageConfig, TrainResources, expanded
from metier.errors import InputError
from metier.models import HUB_ID
from metier.stages.anonymise import Config as Anonymise
from metier.stages.blend import Config as Blend
from metier.stages.chunk import Config as Chunk
from metier.stages.decontaminate import Config as Decontaminate
from metier.stages.deduplicate import Config as Deduplicate
from metier.stages.deduplicate import DocumentConfig as DeduplicateDocuments
from metier.stages.exam import Config as Exam
from metier.stages.filter import Config as Filter
from metier.stages.gate import Config as Gate
from metier.stages.import_dialogues import Config as ImportDialogues
from metier.stages.import_dialogues import LogSpec
from metier.stages.index import Config as Index
from metier.stages.ingest import Config as Ingest
from metier.stages.ingest import SourceSpec
from metier.stages.merge import Config as Merge
from metier.stages.quantise import Config as Quantise
from metier.stages.questions import Config as Questions
from metier.stages.register import Config as Register
from metier.stages.report import Config as Report
from metier.stages.review import Config as Review
from metier.stages.screen import Config as Screen
from metier.stages.smoke import Config as Smoke
from metier.stages.split import Config as Split
from metier.stages.supersede import Config as Supersede
from metier.stages.synthesise import Config as Synthesise
from metier.stages.train import Config as Train
from metier.stages.tune import Search as Tune
from metier.strict_yaml import yaml_value
from metier.training.space import dimensions

Format = Literal["w4a16", "w8a8"]
ROLES = ("base", "teacher", "embedder", "names", "judge")


class Models(StageConfig):
    """The models that the experiment starts from."""

    base: str = "smollm2-135m-instruct"
    """The model to specialise: the embedded one by name, a local folder, or a Hugging Face id."""
    teacher: str = ""
    """The model that writes pairs from passages; empty: the base model. An HTTP engine names its own model instead."""
    embedder: str = "all-minilm-l6-v2"
    """The retriever's embedding model: the embedded one by name, a local folder, or a sentence-transformers id."""
    names: str = ""
    """A model that finds names of people, for anonymise: a folder with a spaCy pipeline, or a token classifier of transformers
    (a folder or a hub id); empty: lists of names and the words around them."""
    judge: str = ""
    """The model that filter asks about possible contradictions (`stages.filter.judge`): a folder or a hub id; empty: none."""
    formats: tuple[Format, ...] = ("w4a16", "w8a8")
    """Quantised formats to try; the smallest that this machine's engine executes and the gate passes ships."""

    @field_validator(*ROLES)
    @classmethod
    def _can_be_a_model(cls, value: str, info: ValidationInfo) -> str:
        """A URL may hold a token, so no fault repeats the value."""
        if not value.strip():
            if value or info.field_name in ("base", "embedder"):
                raise ValueError("is empty: name a model, or remove the key")
            return value
        if re.search(r"[\x00-\x1f\x7f-\x9f]", value):
            raise ValueError("a control character stands in it: write the name without")
        if ":/" in value:
            raise ValueError("a URL is no model: give a folder, or a hub id (owner/name)")
        is_path = value.startswith((".", "/", "~")) or os.path.isdir(value)
        if not is_path and not re.fullmatch(r"[\w.-]{1,96}", value):  # which is a package's, or a folder to be
            _refuse_hub_id(value)
        if not is_path and "@" in value and info.field_name == "embedder":
            raise ValueError("an embedder has no @REVISION: download that revision, and give its folder")
        return value

    @model_validator(mode="after")
    def _each_once(self) -> Models:
        if len(set(self.formats)) < len(self.formats):
            raise ValueError("formats: each format stands there once")
        return self


def _refuse_hub_id(value: str) -> None:
    """Raises ValueError for what the hub's own client would not take."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    match = HUB_ID.fullmatch(value)
    try:
        if match is None or ".." in value or (match["revision"] or "x").startswith((".", "-")):
            raise HFValidationError
        validate_repo_id(match["id"])
    except HFValidationError:
        raise ValueError(
            "neither a folder here nor a hub id: that is owner/name or owner/name@revision, each part of at most 96 "
            "letters, digits and . _ - (no -- and no .., none of them first or last, no .git)"
        ) from None


# Every class has a `register` from ABCMeta, which pydantic takes for a field of the parent.
warnings.filterwarnings("ignore", message='Field name "register" in "Stages" shadows')


class Stages(StageConfig):
    """What each stage does. All of it is identity: a changed value re-runs what depends on it, and nothing else."""

    ingest: Ingest = Ingest()
    screen: Screen = Screen()
    anonymise: Anonymise = Anonymise()
    supersede: Supersede = Supersede()
    deduplicate_documents: DeduplicateDocuments = DeduplicateDocuments()
    split: Split = Split()
    chunk: Chunk = Chunk()
    index: Index = Index()
    questions: Questions = Questions()
    synthesise: Synthesise = Synthesise()
    import_dialogues: ImportDialogues = ImportDialogues()
    deduplicate: Deduplicate = Deduplicate()
    filter: Filter = Filter()
    review: Review = Review()
    decontaminate: Decontaminate = Decontaminate()
    tune: Tune = Tune()
    blend: Blend = Blend()
    train: Train = Train()
    merge: Merge = Merge()
    quantise: Quantise = Quantise()
    exam: Exam = Exam()
    gate: Gate = Gate()
    register: Register = Register()
    smoke: Smoke = Smoke()
    report: Report = Report()

    @model_validator(mode="after")
    def _one_prompt(self) -> Stages:
        """What is trained must be what is examined and served."""
        given = {name: getattr(self, name).passages for name in ("blend", "train", "exam", "register")}
        if len(set(given.values())) > 1:
            said = ", ".join(f"{name}.passages is {number}" for name, number in given.items())
            raise ValueError(f"{said}: a prompt has the same number of passages in all four, set them alike")
        return self

    @model_validator(mode="after")
    def _a_space_that_its_stages_take(self) -> Stages:
        if {"method", "method.method"} & set(self.tune.search):
            raise ValueError("tune.search: the method itself can't be searched: set stages.train.method.method, and "
                             "compare methods in one experiment each")  # fmt: skip
        try:
            dimensions(self.tune.search, self.train, self.blend)
        except ValueError as error:
            raise ValueError(f"tune.{error}") from None
        return self


class StageResources(StageConfig):
    """Where each stage runs: CPUs, GPUs, workers and batch size. Enters no key."""

    synthesise: Resources | None = None
    train: TrainResources | None = None
    tune: TrainResources | None = None
    """For each trial; a fraction of `gpus` shares a device among trials. Where it is not named, as train."""
    merge: Resources | None = None
    exam: Resources | None = None
    index: Resources | None = None
    deduplicate: Resources | None = None
    default: Resources = Resources()  # after `train`, which its rule looks at
    """For every stage that is not named here."""
    min_free_disk_gb: float = Field(5, ge=0)
    """A run is refused before it starts when the store's disk has less than this free."""

    @field_validator("default")
    @classmethod
    def _trains_too(cls, value: Resources, info: ValidationInfo) -> Resources:
        """Where training has no resources of its own, these must suit it."""
        if info.data.get("train", True) is None:  # True: there were some, with a fault of their own
            try:
                TrainResources(**value.model_dump())
            except ValidationError as error:
                said = error.errors()[0]["ctx"]["error"]
                raise ValueError(f"{said}; or give resources.train (and resources.tune) values of their own") from None
        return value

    def of(self, stage: str) -> Resources:
        """The resources of a stage."""
        if stage == "tune" and self.tune:
            return self.tune
        if stage in ("train", "tune"):
            return self.train or TrainResources(**self.default.model_dump())
        return getattr(self, stage, None) or self.default


class Experiment(StageConfig):
    """One experiment: documents in, a released model out."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Lower-case letters, digits and dashes; the name of the registered model."""
    sources: tuple[SourceSpec, ...] = Field(min_length=1)
    """Where the documents are: `folder: PATH`, or `python_package: NAME`."""
    dialogues: tuple[LogSpec, ...] = ()
    """Production logs, chats of people with an assistant, that are trained on beside the pairs that are written from documents:
    `folder: PATH`, of .jsonl and .parquet files as OpenAI messages, ShareGPT, Alpaca or ChatML."""
    exam: str = ""
    """A file of questions written by hand (YAML), added to the final half of the exam; empty: none."""
    verdicts: str = ""
    """A file of experts' verdicts on the review sample (JSONL); empty: none yet."""
    models: Models = Models()
    stages: Stages = Stages()
    resources: StageResources = StageResources()


SECRETIVE = ("key", "url", "token", "secret", "password")  # what stands there by mistake may be one, and is not shown


def load(path: Path) -> Experiment:
    """Reads an experiment file; paths in it are relative to the file. Raises InputError with the place and the mend."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml_value(text)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file (`metier init` writes one)") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: not a readable file ({error.strerror})") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(f"{path}, line {line}: the character {chr(error.character)!r} can't stand in YAML") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{place}: {getattr(error, 'problem', None) or str(error) or 'not YAML'}") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path}: an experiment is a mapping with `name` and `sources`")
    try:
        experiment = Experiment.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{path}: {explained(error, Experiment)}") from None
    return _anchored(experiment, path.parent)


def _anchored(experiment: Experiment, folder: Path) -> Experiment:
    """The experiment with its relative paths seen from the file's folder."""
    files = {key: str(folder / expanded(value)) for key in ("exam", "verdicts") if (value := getattr(experiment, key))}
    places = {
        "sources": tuple(source.anchored(folder) for source in experiment.sources),
        "dialogues": tuple(logs.anchored(folder) for logs in experiment.dialogues),
    }
    names = {  # absolute, for the folder `./owner/name` beside the file would else read as a hub id
        key: str((folder / value).absolute())
        for key in ROLES
        if (value := getattr(experiment.models, key)).startswith(".")
    }
    models = experiment.models.model_copy(update=names)
    resources = experiment.resources
    if resources.train:
        resources = resources.model_copy(update={"train": resources.train.anchored(folder)})
    return experiment.model_copy(update={**files, **places, "models": models, "resources": resources})


def explained(error: ValidationError, model: type[BaseModel]) -> str:
    """The first fault of a validation as one line; an unknown key comes with the nearest known one."""
    fault = error.errors()[0]
    place = ".".join(str(p) for p in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = _keys_at(model, fault["loc"][:-1])
        return f"{place}: unknown key; {_nearest([str(fault['loc'][-1])], known) or 'known keys: ' + ', '.join(known)}"
    if fault["type"] in ("union_tag_not_found", "union_tag_invalid"):
        name = place.rpartition(".")[2]
        tags = fault.get("ctx", {}).get("expected_tags") or ""
        kinds = f"; one of {tags}" if tags else ""
        return f"{place}: is a mapping that names its kind, as `{name}: {{{name}: ...}}`{kinds}"
    if fault["type"] == "missing":
        return f"{place}: this key is needed"
    if fault["type"] == "value_error":  # a rule of ours, which says it all
        return f"{place}: {fault['ctx']['error']}" if place else str(fault["ctx"]["error"])
    if fault["input"] is None:
        return f"{place}: nothing stands there: give it a value, or remove the key"
    secret = isinstance(fault["input"], dict) or any(word in place for word in SECRETIVE)
    text = f"{place}: {fault['msg']}" + ("" if secret else f" (given: {_shown(fault['input'])})")
    if isinstance(fault["input"], dict):  # no member of a union knows this mapping
        return " ".join([text, _nearest(list(map(str, fault["input"])), _keys_at(model, fault["loc"]))]).strip()
    return text


def _shown(value: Any) -> str:
    """A value in short; a list, which may hold more than memory can write out, by its length."""
    if isinstance(value, list | tuple | set):
        return f"a list of {len(value):,}"
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    return repr(re.sub(r"(:/+)\S*@", r"\1***@", str(value))[:60])  # a URL may name a key


def _nearest(given: list[str], known: list[str]) -> str:
    """A question with the known key that is nearest to one of those that are not known; empty where none is near."""
    near = [key for one in given if one not in known for key in difflib.get_close_matches(one, known, n=1, cutoff=0.5)]
    return f"did you mean {near[0]!r}?" if near else ""


def _keys_at(model: Any, path: tuple[int | str, ...]) -> list[str]:
    """The keys that the tree knows at a place. Steps into lists and unions as the path does."""
    nodes = [model]
    for part in path:
        kinds = [kind for node in nodes for kind in _models_in(node)]
        chosen = [kind for kind in kinds if _is_member(kind, part)] or kinds
        nodes = [kind.model_fields[str(part)].annotation if part in kind.model_fields else kind for kind in chosen]
    return sorted({key for node in nodes for kind in _models_in(node) for key in kind.model_fields})


def _is_member(kind: type[BaseModel], part: int | str) -> bool:
    """Whether the part is this member of a union: pydantic puts its tag (`vllm`, `FolderSpec`) into the place."""
    tags = [get_args(field.annotation) for field in kind.model_fields.values()]
    return kind.__name__ == part or (part,) in tags


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in getattr(annotation, "__args__", ()) for m in _models_in(part)]
