"""The experiment file: what is read, where its paths lead, and how each fault is named."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from metier.config import Resources, TrainResources
from metier.errors import InputError
from metier.experiment import Stages, load
from metier.inference.engines import HttpEngine, TransformersEngine
from metier.stages.catalogue import STAGES
from metier.stages.ingest import FolderSpec, PackageSpec

SMALLEST = "name: x\nsources: [{folder: docs}]\n"


@pytest.fixture
def read(tmp_path):
    """Reads a text as an experiment file that lies in `tmp_path`."""

    def read(text: str):
        file = tmp_path / "experiment.yaml"
        file.write_text(textwrap.dedent(text))
        return load(file)

    return read


@pytest.fixture
def refused(read):
    """The one line that refuses a text."""

    def refused(text: str) -> str:
        with pytest.raises(InputError, match="experiment.yaml") as fault:
            read(text)
        assert "\n" not in str(fault.value)
        return str(fault.value)

    return refused


def test_two_keys_are_enough(read):
    experiment = read(SMALLEST)
    assert experiment.stages == Stages()
    assert experiment.models.base == "smollm2-135m-instruct"


def test_every_stage_of_the_road_can_be_set_but_the_one_that_shares_its_settings():
    beside_the_road = {"deduplicate_semantic"}
    assert set(STAGES) - set(Stages.model_fields) == {"anonymise_dialogues"} | beside_the_road


def test_sources_and_engines_are_told_apart_by_their_keys(read):
    experiment = read("""
        name: x
        sources:
          - {folder: docs, glob: "*.md"}
          - {python_package: ray, modules: [ray.data]}
        stages:
          synthesise: {teacher: {engine: {engine: http, base_url: "http://h/v1", model: m}}}
          exam: {engine: {engine: transformers}}
        """)
    assert [type(s) for s in experiment.sources] == [FolderSpec, PackageSpec]
    assert isinstance(experiment.stages.synthesise.teacher.engine, HttpEngine)
    assert isinstance(experiment.stages.exam.engine, TransformersEngine)


def test_relative_paths_are_seen_from_the_file(read, tmp_path):
    experiment = read("""
        name: x
        sources: [{folder: docs}, {folder: /else/where}]
        dialogues: [{folder: chats, glob: "2025/*"}, {folder: "s3://logs/chats"}]
        exam: exams/a.yaml
        verdicts: ../v.jsonl
        models: {base: ./model, teacher: owner/name, embedder: all-minilm-l6-v2, names: ./people}
        """)
    assert [s.folder for s in experiment.sources] == [str(tmp_path / "docs"), "/else/where"]
    assert [(d.folder, d.glob) for d in experiment.dialogues] == [
        (str(tmp_path / "chats"), "2025/*"),
        ("s3://logs/chats", "**/*"),
    ]
    assert experiment.exam == str(tmp_path / "exams" / "a.yaml")
    assert Path(experiment.verdicts).resolve() == (tmp_path.parent / "v.jsonl").resolve()
    assert experiment.models.base == str(tmp_path / "model")
    assert experiment.models.names == str(tmp_path / "people")
    assert (experiment.models.teacher, experiment.models.embedder) == ("owner/name", "all-minilm-l6-v2")


def test_a_model_folder_beside_the_file_never_reads_as_a_hub_id(read, tmp_path, monkeypatch):
    read(SMALLEST + "models: {base: ./owner/name}\n")
    monkeypatch.chdir(tmp_path)
    assert load(Path("experiment.yaml")).models.base == str(tmp_path / "owner" / "name")


def test_the_home_folder_may_be_written_short(read, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    experiment = read("name: x\nsources: [{folder: ~/docs}]\nexam: ~/exam.yaml\n")
    assert experiment.exam == "/home/someone/exam.yaml"
    assert experiment.sources[0].folder == "/home/someone/docs"


def test_no_exam_and_no_verdicts_are_no_paths(read):
    assert (read(SMALLEST).exam, read(SMALLEST).verdicts) == ("", "")


def test_a_day_needs_no_quotes(read):
    assert read(SMALLEST + "stages: {filter: {as_of: 2026-01-31}}\n").stages.filter.as_of == "2026-01-31"


def test_parts_may_be_written_once_and_merged_in(read):
    experiment = read("""
        name: x
        sources: [{folder: docs}]
        resources:
          train: &big {cpus: 4, workers: 2}
          exam:
            <<: *big
            workers: 3
        """)
    assert experiment.resources.exam == Resources(cpus=4, workers=3)


def test_resources_of_a_stage_that_is_not_named_are_the_default(read):
    on = read(SMALLEST + "resources: {default: {batch_rows: 7}, train: {workers: 2}}\n").resources.of
    assert on("chunk") == on("exam") == Resources(batch_rows=7)
    assert on("train") == TrainResources(workers=2)


def test_checkpoints_lie_beside_the_file_or_where_a_url_says(read):
    near = read(SMALLEST + "resources: {train: {checkpoints: ck}}\n").resources.of("train")
    assert Path(near.checkpoints).is_absolute()
    assert Path(near.checkpoints).name == "ck"
    far = read(SMALLEST + "resources: {train: {checkpoints: 's3://bucket/run'}}\n").resources.of("train")
    assert far.checkpoints == "s3://bucket/run"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "resources: {train: {checkpoints: 's3://me:hunter2@bucket/run'}}",
            "resources.train.checkpoints: a URL names no key and no user: credentials come from the environment",
        ),
        (
            "resources: {train: {checkpoints: 's3://me:hun/ter2@bucket/run'}}",
            "resources.train.checkpoints: a URL names no key and no user: credentials come from the environment",
        ),
        ("resources: {train: {checkpoints: 's3:/me:hunter2@bucket'}}", "a folder, or a plain s3://BUCKET/PATH"),
        ("resources: {train: {track: ['s3://me:hunter2@bucket']}}", "(given: 's3://***@bucket')"),
        (
            "stages: {train: {method: lora}}",
            "stages.train.method: is a mapping that names its kind, as `method: {method: ...}`",
        ),
        ("stages: {train: {method: {method: lorra}}}", "one of 'lora', 'qlora', 'full'"),
        ("stages: {train: {seed: 99999999999999999999}}", "stages.train.seed: Input should be less than"),
        ("resources: {train: {gpus: 8}}", "resources.train: gpus is 8: a worker trains on one GPU"),
        ("resources: {train: {gpus: 0.5, workers: 2}}", "workers of one training can't share a GPU"),
        (
            "resources: {train: {checkpoints: 'http://h/ck'}}",
            "a folder, or a plain s3://BUCKET/PATH or gs://BUCKET/PATH",
        ),
        ("dialogues: [{folder: x, globe: y}]", "dialogues.0.globe: unknown key; did you mean 'glob'?"),
        (
            "stages: {tune: {search: {learning_rat: {low: 1e-4, high: 1e-3}}}}",
            "stages: tune.search: train has no setting 'learning_rat'; did you mean 'learning_rate'?",
        ),
        ("stages: {tune: {trails: 3}}", "stages.tune.trails: unknown key; did you mean 'trials'?"),
        ("models: {bas: m}", "models.bas: unknown key; did you mean 'base'?"),
        ("stages: {deduplicat: {}}", "stages.deduplicat: unknown key; did you mean 'deduplicate'?"),
        ("stages: {train: {method: {ranc: 8}}}", "ranc: unknown key; did you mean 'rank'?"),
        ("resources: {train: {gpu: 1}}", "resources.train.gpu: unknown key; did you mean 'gpus'?"),
        (
            "stages: {exam: {engine: {engine: vllm, max_model_length: 9}}}",
            "max_model_length: unknown key; did you mean 'max_model_len'?",
        ),
    ],
)
def test_an_unknown_key_comes_with_the_nearest_one_of_its_place(refused, text, says):
    assert says in refused(SMALLEST + text)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (SMALLEST + "stages: {exam: {engine: {engine: transformers, max_num_seqs: 9}}}", "batch_rows, dtype, engine"),
        ("name: x\nsources: [{folder: d, modules: [m]}]", "folder, glob, prefix"),
    ],
)
def test_a_key_of_another_member_of_a_union_is_not_proposed(refused, text, known):
    assert refused(text).endswith(f"unknown key; known keys: {known}")


def test_a_key_that_is_near_nothing_comes_with_all_of_its_place(refused):
    said = refused(SMALLEST + "models: {zzz: 1}")
    assert said.endswith("models.zzz: unknown key; known keys: base, embedder, formats, judge, names, teacher")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sources: [{folder: d}]", "name: this key is needed"),
        ("name: x", "sources: this key is needed"),
        ("name: x\nsources: []", "sources"),
        ("name: Not Fit\nsources: [{folder: d}]", "name: String should match"),
        ("name: x\nsources: [{}]", "a source is `folder: PATH` or `python_package: NAME`"),
        ("name: x\nsources: [{python_package: a-b}]", "python_package: String should match"),
        (SMALLEST + "models: {formats: [w2a2]}", "models.formats.0: Input should be 'w4a16' or 'w8a8' (given: 'w2a2')"),
        (SMALLEST + "stages: {exam: {engine: {engine: oracle}}}", "'vllm', 'transformers', 'http'"),
        (SMALLEST + "stages: {split: {train_fraction: 0.9, dev_fraction: 0.1}}", "stages.split"),
    ],
)
def test_a_fault_is_named_with_its_place(refused, text, says):
    assert says in refused(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: x\nname: y\n", "line 2: the key 'name' is given twice"),
        (SMALLEST + "stages:\n  train: {epochs: 1}\n  train: {epochs: 2}\n", "line 5: the key 'train' is given twice"),
        ("name: x\nsources: [\n", "line 3"),
        ("name: !!python/object/apply:os.getcwd []\n", "line 1: could not determine a constructor"),
        ("? [a, b]\n: 1\n", "line 1"),
        ("just words", "an experiment is a mapping"),
        ("", "an experiment is a mapping"),
    ],
)
def test_what_is_no_experiment_file_is_named_with_its_line(refused, text, says):
    assert says in refused(text)


def test_what_is_no_text_file_is_refused(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    for path, says in ((tmp_path, "not a readable file"), (tmp_path / "latin.yaml", "not a text file"),
                       (tmp_path / "none.yaml", "metier init")):  # fmt: skip
        with pytest.raises(InputError, match=says):
            load(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: !!int x\n", "not what its tag or form says"),
        ("name: !!timestamp x\n", "not what its tag or form says"),
        ("name: " + "9" * 5000 + "\n", "not what its tag or form says"),
        ("name: " + "[" * 3000 + "\n", "nested too deeply"),
        (SMALLEST + "models: {formats: [w8a8, w8a8]}", "each format stands there once"),
    ],
)
def test_what_yaml_itself_stumbles_over_is_one_line_too(refused, text, says):
    assert says in refused(text)


def test_what_may_be_a_secret_is_not_repeated(refused):
    engine = {"engine": "http", "model": "m", "base_url": "ftp://user:hunter2@host"}
    said = refused(SMALLEST + f"stages: {{exam: {{engine: {engine}}}}}")
    assert "hunter2" not in said
    assert "hunter2" not in refused(SMALLEST + "stages: {exam: {engine: {engine: openai, api_key: hunter2}}}")


def test_a_prompt_has_one_number_of_passages_in_training_exam_and_serving(refused, read):
    said = refused(SMALLEST + "stages: {blend: {passages: 5}}")
    assert "stages: blend.passages is 5, train.passages is 3, exam.passages is 3, register.passages is 3" in said
    alike = "stages: {blend: {passages: 5}, train: {passages: 5}, exam: {passages: 5}, register: {passages: 5}}"
    assert read(SMALLEST + alike).stages.exam.passages == 5


BOMB = "[&a0 [x, x, x, x, x, x, x, x, x, x]" + "".join(f", &a{i} [{f'*a{i - 1}, ' * 10}]" for i in range(1, 8)) + "]"
MERGES = "m0: &m0 {a: 1}\n" + "".join(f"m{i}: &m{i} {{<<: [{f'*m{i - 1}, ' * 10}]}}\n" for i in range(1, 8))


@pytest.mark.parametrize(
    "text",
    [
        f"stages: {{train: {{epochs: {BOMB}}}}}",
        f"stages: {{train: {{method: {{method: {BOMB}}}}}}}",
        MERGES,
        "stages: &itself [*itself]",
    ],
)
def test_aliases_that_make_millions_of_a_few_lines_are_refused_before_they_are_read(refused, monkeypatch, text):
    monkeypatch.setattr("metier.strict_yaml._Loader.construct_document", lambda *given: pytest.fail("it was read"))
    assert "more than 1,000,000 values" in refused(SMALLEST + text)


def test_a_list_is_not_written_out(refused):
    assert "(given: a list of 3)" in refused(SMALLEST + "stages: {train: {epochs: [1, 2, 3]}}")


@pytest.mark.parametrize("number", ["1:30:00", "1:30.5", "0100000", "-017"])
def test_a_number_that_yaml_reads_as_another_is_refused_with_its_line(refused, read, number):
    text = SMALLEST + "stages:\n  tune:\n    seed: "
    assert f"line 5: {number} is no plain number" in refused(text + number)
    assert read(text + "0").stages.tune.seed == 0
    assert read(SMALLEST + f"exam: '{number}'\n").exam.endswith(number)


def test_a_control_character_is_named_with_its_line(refused):
    assert r", line 3: the character '\x01' can't stand in YAML" in refused(SMALLEST + "exam: a\x01b\n")


@pytest.mark.parametrize("default", ["{gpus: 4}", "{gpus: 0.5, workers: 4}"])
def test_default_resources_that_training_cannot_have_are_refused_unless_it_has_its_own(refused, read, default):
    said = refused(SMALLEST + f"resources: {{default: {default}}}")
    assert "resources.default: gpus is" in said
    assert "give resources.train (and resources.tune) values of their own" in said
    assert "resources.default" in refused(SMALLEST + f"resources: {{default: {default}, tune: {{gpus: 1}}}}")
    own = read(SMALLEST + f"resources: {{default: {default}, train: {{gpus: 1}}}}").resources
    assert own.of("tune") == own.of("train") == TrainResources(gpus=1)


ROLES = ("base", "teacher", "embedder", "names", "judge")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "value", ["https://me:hunter2@host/a/b", "s3://AKIA:hunter2@bucket/m", "me:hunter2@host/a", "me:hunter2@host"]
)
def test_a_secret_in_the_place_of_a_model_is_not_repeated(refused, role, value):
    said = refused(SMALLEST + f"models: {{{role}: '{value}'}}")
    assert f"models.{role}: {'a URL is no model' if '://' in value else 'neither a folder here'}" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "value",
    [
        "owner/name.git",
        "owner/na--me",
        "owner/-name",
        "owner/..",
        "owner/" + "a" * 97,
        "owner/name@-v",
        "owner/name@v..1",
        "a/b/c",
        "a b",
    ],
)
def test_what_is_neither_a_folder_nor_a_hub_id_is_refused(refused, role, value):
    assert f"models.{role}: neither a folder here nor a hub id" in refused(SMALLEST + f"models: {{{role}: '{value}'}}")


@pytest.mark.parametrize("value", ["owner/name", "owner/na.me-1@v1.0", "smollm2-135m-instruct", "~/m--odel", "/a--b/c"])
def test_hub_ids_names_and_paths_are_taken(read, value):
    assert read(SMALLEST + f"models: {{base: '{value}'}}").models.base == value


def test_a_folder_that_is_there_may_have_any_name(read, tmp_path, monkeypatch):
    (tmp_path / "my models" / "b.git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert read(SMALLEST + "models: {base: my models/b.git}").models.base == "my models/b.git"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models: {base: ''}", "models.base: is empty: name a model, or remove the key"),
        ("models: {judge: ' '}", "models.judge: is empty"),
        ('models: {base: "\\e[2J.."}', "models.base: a control character stands in it"),
        ("models: {embedder: owner/name@v1}", "models.embedder: an embedder has no @REVISION"),
        ("stages:\n  train:\n", "stages.train: nothing stands there: give it a value, or remove the key"),
        ("models:\n", "models: nothing stands there"),
        ("stages: {train: {learning_rate: true}}", "stages.train: learning_rate: true and false (yes, no, on, off)"),
        ("stages: {train: {method: {rank: yes}}}", "rank: true and false (yes, no, on, off) are no numbers"),
        ("resources: {min_free_disk_gb: yes}", "resources: min_free_disk_gb: true and false"),
        ("exam: 0x" + "f" * 6000, "exam: Input should be a valid string (given: a number of more than 60 digits)"),
    ],
)
def test_what_says_nothing_or_something_else_than_it_seems_is_refused(refused, text, says):
    assert says in refused(SMALLEST + text)


@pytest.mark.parametrize("key", ["method", "method.method"])
def test_the_method_itself_is_not_searched_and_not_proposed(refused, key):
    said = refused(SMALLEST + f"stages: {{tune: {{search: {{{key}: {{choices: [lora, full]}}}}}}}}")
    assert "tune.search: the method itself can't be searched" in said
    assert "did you mean" not in said
