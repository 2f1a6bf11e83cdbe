from __future__ import annotations

import pytest

from metier.config import Resources
from metier.errors import InputError, MachineError
from metier.execution import generation
from metier.execution.generation import generate
from metier.inference.engines import TransformersEngine, VllmEngine
from metier.inference.protocol import Request
from metier.models import resolve
from metier.records import Message
from tests.fixtures.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(
        make_tiny_model(tmp_path_factory.mktemp("model"), ["the ledger holds a margin of ten units"], context=256)
    )


def requests(count: int) -> list[Request]:
    texts = ["ledger " * (1 + 7 * i % 11) for i in range(count)]
    return [Request(str(i), (Message(role="user", content=t),), max_tokens=6) for i, t in enumerate(texts)]


def test_workers_change_no_answer_and_progress_reaches_the_total(ray_cluster, model):
    engine, seen = TransformersEngine(batch_rows=4), []
    one = {r.id: r for r in generate(requests(10), engine, model, Resources(), lambda *p: seen.append(p))}
    two = {r.id: r for r in generate(requests(10)[::-1], engine, model, Resources(workers=2))}
    assert one == two
    assert set(one) == {str(i) for i in range(10)}
    assert seen[-1] == (10, 10, "answers")


def test_no_requests_start_nothing(model):
    assert list(generate([], VllmEngine(), model, Resources())) == []


def test_a_context_longer_than_the_models_is_refused_before_anything_starts(model):
    with pytest.raises(InputError, match="max_model_len 1024 is more than the 256 tokens"):
        list(generate(requests(1), VllmEngine(max_model_len=1024), model, Resources()))


def test_without_vllm_the_message_says_what_to_do(model, monkeypatch):
    monkeypatch.setattr(generation.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match="engine: transformers"):
        list(generate(requests(1), VllmEngine(max_model_len=128), model, Resources()))


@pytest.mark.timeout(300)
def test_vllm_answers_as_transformers_does_and_a_bad_row_is_its_own_error(ray_cluster):
    model = resolve("smollm2-135m-instruct")
    asked = [
        Request("paris", (Message(role="user", content="What is the capital of France?"),), max_tokens=12),
        Request("long", (Message(role="user", content="word " * 600),), max_tokens=12),
        Request("bad", (Message(role="user", content="Hello"),), max_tokens=4, temperature=-1.0),
    ]
    engine = VllmEngine(dtype="float32", max_model_len=256, max_num_seqs=4)
    answers = {r.id: r for r in generate(asked, engine, model, Resources())}
    (plain,) = generate(asked[:1], TransformersEngine(), model, Resources())
    assert answers["paris"].text == plain.text
    assert (answers["paris"].prompt_tokens, answers["paris"].finish_reason) == (
        plain.prompt_tokens,
        plain.finish_reason,
    )
    assert "exceed the context of 256" in answers["long"].error
    assert "temperature" in answers["bad"].error
    assert answers["bad"].finish_reason == "error"
