from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from metier.errors import InputError
from metier.inference.engines import TransformersEngine, open_engine
from metier.inference.protocol import Request
from metier.inference.transformers_engine import load_tokenizer, prompt_ids
from metier.models import resolve
from metier.records import Message
from tests.fixtures.tiny_model import make_tiny_model

TEXTS = ["the ledger holds a margin of ten units", "an audit reviews the invoice each month"]


def asks(name: str, text: str, **changes: object) -> Request:
    request = Request(id=name, messages=(Message(role="user", content=text),), max_tokens=12)
    return dataclasses.replace(request, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("model"), TEXTS, context=128))


@pytest.fixture(scope="module")
def engine(model):
    engine = open_engine(TransformersEngine(batch_rows=3), model)
    yield engine
    engine.close()


def test_batched_answers_are_those_of_each_request_alone(engine):
    requests = [asks(str(i), "margin " * (1 + 3 * i)) for i in range(5)]
    together = engine.generate(requests)
    assert [r.id for r in together] == [r.id for r in requests]
    assert together == [engine.generate([r])[0] for r in requests]
    assert all(0 < r.completion_tokens <= 12 and not r.error for r in together)


def test_order_of_arrival_changes_nothing(engine):
    requests = [asks(str(i), "audit " * (7 - i)) for i in range(6)]
    backwards = engine.generate(requests[::-1])
    assert engine.generate(requests) == backwards[::-1]


def test_each_request_keeps_its_own_length_in_a_batch(engine):
    short, long = engine.generate([asks("a", "ledger", max_tokens=3), asks("b", "ledger", max_tokens=9)])
    assert short.completion_tokens == 3
    assert short.finish_reason == "length"
    assert long.text.startswith(short.text.rstrip("\ufffd"))


def test_what_does_not_fit_is_an_error_of_its_own(engine):
    fine, broken = engine.generate([asks("a", "ledger"), asks("b", "margin " * 200)])
    assert fine.text
    assert not broken.text
    assert "exceed the context of 128" in broken.error


def test_a_stop_word_ends_the_text(engine):
    whole = engine.generate([asks("a", "ledger")])[0].text
    cut = whole[len(whole) // 2]
    stopped = engine.generate([asks("a", "ledger", stop=(cut,))])[0]
    assert stopped.text == whole[: whole.index(cut)]
    assert stopped.finish_reason == "stop"


def test_sampling_follows_its_seed_and_leaves_the_global_one_alone(engine):
    import torch

    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, again, other = (engine.generate([asks("a", "ledger", temperature=1.5, seed=s)])[0].text for s in (1, 1, 2))
    assert one == again
    assert one != other
    assert torch.equal(torch.rand(1), expected)


def test_a_model_without_a_chat_template_is_refused(model, tmp_path):
    tokenizer = load_tokenizer(model)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no chat template"):
        load_tokenizer(str(tmp_path))


def test_the_embedded_model_speaks():
    folder = resolve("smollm2-135m-instruct")
    ids = prompt_ids(load_tokenizer(folder), [Message(role="user", content="Hello")])
    assert ids[0] == 1  # the template begins the conversation, and nothing adds a second beginning
    answer = open_engine(TransformersEngine(), folder).generate([asks("a", "What is the capital of France?")])[0]
    assert "Paris" in answer.text


@pytest.mark.parametrize("text", [None, "", "{", "{}", '{"model": {"type": "BPE"}}'])
def test_a_tokenizer_that_is_missing_or_broken_is_refused_in_one_line(model, tmp_path, text):
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    if text is not None:
        (folder / "tokenizer.json").write_text(text)
    with pytest.raises(InputError, match=r"model .*: its tokenizer's files can't be read .*; copy or fetch them anew$"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"chat_template": 5}, "chat template in tokenizer_config.json is no text"),
        ({"chat_template": [{"name": "tool", "template": "x"}]}, "several chat templates and none is named default"),
        ({"chat_template": "x", "model_max_length": "x"}, "model_max_length in tokenizer_config.json is no number"),
    ],
)
def test_settings_of_a_tokenizer_that_would_fail_once_it_writes_are_refused(model, tmp_path, settings, said):
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    with pytest.raises(InputError, match=f"^model .*: .*{said}"):
        load_tokenizer(str(folder))


def test_the_default_of_several_templates_is_taken(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    file = folder / "tokenizer_config.json"
    named = [{"name": "default", "template": "{{ messages[0].content }}"}, {"name": "tool_use", "template": "x"}]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": named}))
    tokenizer = load_tokenizer(str(folder))
    assert tokenizer.decode(prompt_ids(tokenizer, [Message(role="user", content="a b")])) == "a b"
