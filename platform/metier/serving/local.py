"""Runs the service on this machine's Ray: up, reachable, down again. The caller starts Ray."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from metier.errors import InputError, MachineError, StepError
from metier.serving.application import application, released
from metier.serving.keys import VARIABLE, api_key, key_file
from metier.serving.release import Release
from metier.serving.settings import LOOPBACK, ServeSettings

APPLICATION = "metier"
START_SECONDS = 600  # a larger model on a busy disk; the embedded one takes a tenth of it
STOP_SECONDS = 30
POLL_SECONDS = 0.25
CONTROLLER = "SERVE_CONTROLLER_ACTOR"
LONGEST_REASON = 500
RAISED = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception)): ", re.MULTILINE)
Say = Callable[[str], None]


def _silent(message: str) -> None:
    return None


@contextlib.contextmanager
def serving(
    settings: ServeSettings, release: Release, *, host: str = "127.0.0.1", port: int = 0, say: Say = _silent
) -> Iterator[str]:
    """Deploys the release and gives its address (http://host:port) while it runs. Port 0: a free one.

    Raises MachineError when Serve runs already on this cluster, StepError with the deployment's own words when it fails.
    """
    from ray import serve

    if serve.status().proxies:
        raise MachineError("Ray Serve runs already on this cluster: use `serve deploy`, or stop it (`serve shutdown`)")
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    port = port or free_port(host)
    try:
        _deploy(settings, release, host, port, say)
        yield f"http://{host}:{port}"
    finally:
        _shut_down()


def _shut_down() -> None:
    """Stops Serve. `serve.shutdown` alone waits for a call that never returns, and Ray prints that on standard output."""
    import ray
    from ray import serve

    deadline = time.monotonic() + STOP_SECONDS
    try:
        controller = ray.get_actor(CONTROLLER, namespace="serve")
        ray.get(controller.graceful_shutdown.remote(wait=False), timeout=STOP_SECONDS)
        while time.monotonic() < deadline:
            ray.get_actor(CONTROLLER, namespace="serve")
            time.sleep(POLL_SECONDS)
    except ValueError:  # there is no such actor any more
        pass
    serve.shutdown()


def _deploy(settings: ServeSettings, release: Release, host: str, port: int, say: Say) -> None:
    from ray import serve
    from ray.serve.schema import ApplicationStatus

    say("starting Ray Serve")
    serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port})
    target = serve.RunTarget(target=application(settings, release), name=APPLICATION, route_prefix="/")
    serve.run_many([target], wait_for_applications_running=False)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        seen = serve.status().applications[APPLICATION]
        if seen.status == ApplicationStatus.RUNNING:
            return
        waiting = [name for name, one in seen.deployments.items() if one.status != "HEALTHY"]
        if seen.status in (ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.UNHEALTHY):
            raise StepError(f"the service did not come up: {_reason(seen)}")
        say(f"starting {', '.join(sorted(waiting))}")
        time.sleep(POLL_SECONDS)
    raise StepError(f"the service did not come up in {START_SECONDS} s; last: {_reason(seen)}")


def _reason(application: Any) -> str:
    """The deployments' own words, as one line: the error that a replica raised, where one is told."""
    told = [one.message for one in application.deployments.values() if one.status != "HEALTHY" and one.message]
    text = "\n".join([*told, application.message])
    raised = [found for found in RAISED.finditer(text) if not found[1].startswith(("Ray", "Actor"))]
    said = text[raised[-1].start(1) :].split("\nray.")[0] if raised else text
    return " ".join(said.split())[:LONGEST_REASON] or "no message"


def free_port(host: str) -> int:
    """A port that nobody listens on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(f"{host}:{port}: can't be listened on ({error.strerror}); name another --port") from None


def serve_forever(
    store: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    model: str = "",
    require_key: bool = True,
    say: Say = print,
    session: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> None:
    """Serves the release in production until Ctrl-C (KeyboardInterrupt), then stops cleanly and returns.

    `session` (Ray) is entered once everything that can be refused was looked at.

    Raises InputError when nothing is registered, the port is taken, or the door would stand open to the network.
    """
    if not require_key and host not in LOOPBACK:
        raise InputError(f"--host {host}: without a key the service is for this machine only (127.0.0.1)")
    settings = ServeSettings(store=str(store), model=model, require_key=require_key)
    release = released(settings)
    if port:
        _refuse_taken(host, port)
    began = time.monotonic()
    said: set[str] = set()

    def once(message: str) -> None:
        if message not in said:
            said.add(message)
            say(f"  {message} ...")

    say(f"serving {release.name} ({release.key}, format {release.format})")
    up = serving(settings, release, host=host, port=port, say=once)
    with contextlib.suppress(KeyboardInterrupt), session(), up as address:
        say(f"up after {time.monotonic() - began:.0f} s\n")
        say(f"{example(address, store, release, require_key)}\n\nCtrl-C stops it.")
        while True:
            time.sleep(3600)


def example(address: str, store: Path, release: Release, require_key: bool) -> str:
    """How to ask the service, for a terminal and in Python. The key itself is not shown."""
    if not require_key:
        shown = "none"
    elif api_key(store) == os.environ.get(VARIABLE, "").strip():
        shown = f"${VARIABLE}"
    else:
        shown = f"$(cat {key_file(store)})"
    return f"""{address}/v1   key: {shown}

curl {address}/v1/chat/completions -H "Authorization: Bearer {shown}" -H "Content-Type: application/json" \\
  -d '{{"model": "{release.name}", "messages": [{{"role": "user", "content": "What is it for?"}}]}}'

from openai import OpenAI
client = OpenAI(base_url="{address}/v1", api_key=KEY)
answer = client.chat.completions.create(model="{release.name}", messages=[{{"role": "user", "content": "What is it for?"}}])
print(answer.choices[0].message.content, answer.citations)"""
