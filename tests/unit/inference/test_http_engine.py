from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from metier.errors import InputError
from metier.inference import http_engine
from metier.inference.engines import HttpEngine, open_engine
from metier.inference.protocol import Request
from metier.records import Message

KEY = "sk-very-secret"


class Endpoint(BaseHTTPRequestHandler):
    """Answers by repeating the question; a question `fail N` is refused N times with 500 first, `forbid` with 403."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["messages"][-1]["content"]
        state = self.server.state
        with state["lock"]:
            state["bodies"].append(body)
            state["keys"].add(self.headers.get("Authorization", ""))
            state["running"] += 1
            state["most"] = max(state["most"], state["running"])
            tries = state["tries"][asked] = state["tries"].get(asked, 0) + 1
        time.sleep(0.02)
        with state["lock"]:
            state["running"] -= 1
        if asked.startswith("fail") and tries <= int(asked.split()[1]):
            self.reply(500, {"error": {"message": "try again"}})
        elif asked == "forbid":
            self.reply(403, {"error": {"message": f"key {KEY} is not allowed"}})
        elif asked == "empty":
            self.reply(200, {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": []})
        else:
            message = {"role": "assistant", "content": f"you said {asked}"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
            self.reply(200, {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
                             "usage": usage})  # fmt: skip

    def reply(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.state = {"lock": threading.Lock(), "bodies": [], "keys": set(), "running": 0, "most": 0, "tries": {}}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def engine(server, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    monkeypatch.setattr(http_engine, "FIRST_WAIT_SECONDS", 0.01)
    address = f"http://127.0.0.1:{server.server_port}/v1"
    engine = open_engine(
        HttpEngine(base_url=address, model="m", api_key_env="SOME_KEY", concurrency=3, max_attempts=3), ""
    )
    yield engine
    engine.close()


def asks(text: str, **changes: object) -> Request:
    return Request(id=text, messages=(Message(role="user", content=text),), **changes)  # type: ignore[arg-type]


def test_answers_come_in_order_with_bounded_concurrency(engine, server):
    requests = [asks(f"number {i}") for i in range(12)]
    responses = engine.generate(requests)
    assert [r.text for r in responses] == [f"you said number {i}" for i in range(12)]
    assert (responses[0].prompt_tokens, responses[0].completion_tokens) == (3, 4)
    assert 1 < server.state["most"] <= 3
    assert server.state["keys"] == {f"Bearer {KEY}"}


def test_what_passes_is_tried_again_and_what_stays_is_one_rows_error(engine, server):
    mended, lost, fine = engine.generate([asks("fail 2"), asks("fail 9"), asks("fine")])
    assert mended.text == "you said fail 2"
    assert server.state["tries"] == {"fail 2": 3, "fail 9": 3, "fine": 1}
    assert lost.finish_reason == "error"
    assert "try again" in lost.error
    assert fine.text


def test_a_refusal_is_not_repeated_and_its_error_keeps_the_key_secret(engine, server):
    (refused,) = engine.generate([asks("forbid")])
    assert server.state["tries"]["forbid"] == 1
    assert "not allowed" in refused.error
    assert KEY not in repr(refused)


def test_a_reply_without_a_choice_is_an_error(engine):
    assert "no choice" in engine.generate([asks("empty")])[0].error


def test_seed_goes_along_only_where_something_is_sampled(engine, server):
    engine.generate([asks("greedy", seed=5), asks("free", temperature=0.7, seed=5, stop=("x",))])
    greedy, free = sorted(server.state["bodies"], key=lambda b: b["temperature"])
    assert "seed" not in greedy
    assert (free["seed"], free["stop"]) == (5, ["x"])


def test_nobody_listening_is_an_error_of_each_row(monkeypatch):
    monkeypatch.setattr(http_engine, "FIRST_WAIT_SECONDS", 0.01)
    engine = open_engine(HttpEngine(base_url="http://127.0.0.1:9/v1", model="m", max_attempts=2), "")
    assert "APIConnectionError" in engine.generate([asks("anyone")])[0].error


def test_a_missing_key_is_said_at_once(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(InputError, match="NO_SUCH_KEY"):
        open_engine(HttpEngine(base_url="http://127.0.0.1:9/v1", model="m", api_key_env="NO_SUCH_KEY"), "")
