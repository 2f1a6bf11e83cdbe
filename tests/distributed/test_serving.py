"""A release on real Ray Serve and real vLLM, asked by the openai client: answers, citations, key, limits, log, end."""

from __future__ import annotations

from functools import partial

import httpx
import openai
import pytest

from metier.errors import MachineError
from metier.inference.protocol import chat
from metier.inference.transformers_engine import load_tokenizer, prompt_ids
from metier.lineage.trace import trace
from metier.records import Passage
from metier.serving.answers import logged
from metier.serving.keys import api_key
from metier.serving.local import APPLICATION, serving
from metier.serving.release import open_release
from metier.serving.settings import ServeSettings
from metier.serving.smoke import ask
from metier.training.encoding import IGNORED, encode
from tests.fixtures.chat_templates import CONVERSATIONS, LLAMA3_TOKENS, either, templates
from tests.fixtures.tiny_model import make_tiny_model
from tests.fixtures.tiny_release import make_artifacts, run_register

pytestmark = pytest.mark.timeout(300)
ASKED = [{"role": "user", "content": "What is the audit limit?"}]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    model = partial(make_tiny_model, template=either(templates()), special=LLAMA3_TOKENS)
    made = make_artifacts(root, make_model=model)
    run_register(root, made, max_tokens=12, max_model_len=512)
    return root, made


@pytest.fixture(scope="module")
def service(released, ray_cluster):
    """The address of the service and its store; one start for all tests."""
    root, _ = released
    settings = ServeSettings(store=str(root), max_body_bytes=4096, max_messages=5)
    with serving(settings, open_release(root, "register/one")) as address:
        yield address, root


@pytest.fixture
def client(service):
    address, root = service
    with openai.OpenAI(base_url=f"{address}/v1", api_key=api_key(root), max_retries=0) as one:
        yield one


FAMILIES = {"chatml": "<|im_end|>", "marked": "<|im_end|>", "smollm2": "<|im_end|>", "llama3": "<|eot_id|>"}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_turn_is_trained_behind_the_tokens_that_the_running_engine_reads(service, released, family):
    """Asked of the engine itself: the door adds passages. The served template is all families' in one, `style` names which."""
    from ray import serve

    tokenizer = load_tokenizer(str(released[1]["merge"].path("model")))
    tokenizer.chat_template, tokenizer.eos_token = templates()[family], FAMILIES[family]
    engine = serve.get_deployment_handle("LanguageModel", APPLICATION).options(stream=True)
    for name, dialogue in CONVERSATIONS.items():
        example = encode(dialogue, tokenizer)
        for turn in (i for i, m in enumerate(dialogue.messages) if m.role == "assistant"):
            asked = {"model": "tiny", "messages": chat(dialogue.messages[:turn]), "max_tokens": 1,
                     "return_token_ids": True, "chat_template_kwargs": {"style": family}}  # fmt: skip
            (answer,) = engine.answer.remote(asked)
            read = answer["prompt_token_ids"]
            assert example.ids[: len(read)] == read == prompt_ids(tokenizer, dialogue.messages[:turn]), (name, turn)
            assert example.labels[len(read) - 1] == IGNORED != example.labels[len(read)], (name, turn)


def newest(root):
    return next(logged(root))


def test_the_model_is_listed(client):
    assert [m.id for m in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "metier"


def test_an_answer_comes_with_citations_to_the_letter(client, service, released):
    said = client.chat.completions.create(model="tiny", messages=ASKED)
    assert said.choices[0].finish_reason in ("stop", "length")
    assert said.usage.prompt_tokens > 100
    passages = {p.id: p for p in released[1]["chunk"].records(Passage)}
    assert [c["number"] for c in said.citations] == [1, 2, 3]
    assert all(c["text"] == passages[c["passage_id"]].text for c in said.citations)
    assert any(c["uri"] == "audit.md" for c in said.citations)


def test_a_streamed_answer_is_the_same_in_pieces(client, service):
    whole = client.chat.completions.create(model="tiny", messages=ASKED)
    chunks = list(client.chat.completions.create(model="tiny", messages=ASKED, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert len(chunks) > 2
    assert text == whole.choices[0].message.content
    assert chunks[-1].model_extra["citations"] == whole.citations
    assert not any((chunk.model_extra or {}).get("citations") for chunk in chunks[:-1])
    assert {chunk.id for chunk in chunks} == {newest(service[1]).id}


def test_usage_at_the_end_of_a_stream_comes_with_the_citations_too(client):
    options = {"include_usage": True}
    last = list(client.chat.completions.create(model="tiny", messages=ASKED, stream=True, stream_options=options))[-1]
    assert last.usage.completion_tokens > 0
    assert last.model_extra["citations"]


def test_without_retrieval_nothing_is_cited(client, service):
    said = client.chat.completions.create(model="tiny", messages=ASKED, extra_body={"metier": {"retrieve": False}})
    assert said.citations == []
    assert newest(service[1]).passage_ids == ()


def test_each_answer_is_logged_without_the_key_and_can_be_traced(client, service):
    _, root = service
    talk = [*ASKED, {"role": "assistant", "content": "100 units."}, {"role": "user", "content": "And the hedge limit?"}]
    said = client.chat.completions.create(model="tiny", messages=talk)
    found = newest(root)
    assert (found.id, found.question, found.turns) == (
        said.id,
        "And the hedge limit?",
        ((ASKED[0]["content"], "100 units."),),
    )
    assert found.answer == said.choices[0].message.content
    assert found.passage_ids == tuple(c["passage_id"] for c in said.citations)
    assert found.release == "register/one"
    for path in (root / "answers").iterdir():
        assert api_key(root) not in path.read_text()
    traced = trace(root, said.id)
    assert [p.text for p in traced.passages] == [c["text"] for c in said.citations]
    assert traced.documents


def test_a_reader_who_goes_away_leaves_a_log_and_a_working_service(client, service):
    with client.chat.completions.create(model="tiny", messages=ASKED, stream=True, max_tokens=200) as stream:
        gone = next(iter(stream)).id
    client.chat.completions.create(model="tiny", messages=ASKED)
    assert gone in {a.id for a in logged(service[1])}


@pytest.mark.parametrize("key", ["", "wrong", "Bearer"])
def test_without_the_key_nothing_is_said(service, key):
    address, _ = service
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    for way in ("/v1/models", "/v1/models/tiny", "/v1/chat/completions"):
        method = "POST" if way.endswith("completions") else "GET"
        said = httpx.request(
            method, address + way, headers=headers, content=b"{" * 10_000 if method == "POST" else None
        )
        assert (said.status_code, said.json()["error"]["code"]) == (401, "invalid_api_key")
    assert httpx.get(f"{address}/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"model": "other"}, openai.NotFoundError, "'tiny' is"),
        ({"max_tokens": 257}, openai.BadRequestError, "at most 256"),
        (
            {"max_tokens": 200, "messages": [{"role": "user", "content": "ledger " * 300}]},
            openai.BadRequestError,
            "512 tokens",
        ),
        ({"messages": [{"role": "system", "content": "x"}]}, openai.BadRequestError, "system prompt"),
        ({"messages": [*ASKED, ASKED[0]]}, openai.BadRequestError, "take turns"),
        ({"tools": [{"type": "function", "function": {"name": "x"}}]}, openai.BadRequestError, "tools"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_request_is_refused_with_one_clear_line(client, asked, kind, words, stream):
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**({"model": "tiny", "messages": ASKED, "stream": stream} | asked))
    message = caught.value.body["message"]
    assert words in message
    assert "\n" not in message


def test_a_long_body_and_a_wrong_way_are_refused_in_the_same_form(service):
    address, root = service
    headers = {"Authorization": f"Bearer {api_key(root)}"}
    long = httpx.post(f"{address}/v1/chat/completions", headers=headers, content=b"x" * 5000)
    assert (long.status_code, "4096" in long.json()["error"]["message"]) == (413, True)
    lost = httpx.get(f"{address}/v1/nowhere", headers=headers)
    assert (lost.status_code, lost.json()["error"]["type"]) == (404, "invalid_request_error")


def test_many_ask_at_once_and_each_gets_their_own(service):
    import asyncio

    address, root = service
    subjects = ["ledger", "reserve", "margin", "audit", "invoice", "hedge", "escrow", "tariff"]

    async def ask_all():
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=api_key(root), max_retries=0) as one:
            asked = [
                one.chat.completions.create(
                    model="tiny", messages=[{"role": "user", "content": f"What is the {s} limit?"}]
                )
                for s in subjects
            ]
            return await asyncio.gather(*asked)

    for subject, said in zip(subjects, asyncio.run(ask_all()), strict=True):
        assert any(c["uri"] == f"{subject}.md" for c in said.citations), subject


def test_the_smoke_check_passes_and_says_when_the_first_token_came(service):
    address, root = service
    heard = []
    questions = ["What is the audit limit?", "How high is the moon?"]
    index = open_release(root, "register/one").index
    answers = ask(
        address, api_key(root), "tiny", index, questions, lambda number, seconds: heard.append((number, seconds))
    )
    assert [a.question for a in answers] == questions
    assert all(len(a.citations) == 3 for a in answers)
    assert [number for number, _ in heard] == [1, 2]
    assert all(0 < seconds < 60 for _, seconds in heard)


def test_a_second_service_beside_the_first_is_refused(service):
    _, root = service
    with (
        pytest.raises(MachineError, match="runs already"),
        serving(ServeSettings(store=str(root)), open_release(root, "register/one")),
    ):
        pass
