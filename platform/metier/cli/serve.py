"""`metier serve`: the release in production behind an OpenAI-compatible address."""

from __future__ import annotations

from typing import Annotated

import typer

from metier.cli.run import STORE, StoreOption
from metier.execution.session import local_ray
from metier.lineage.store import Store


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(serve)


def serve(
    store: StoreOption = STORE,
    model: Annotated[str, typer.Option(help="Registered name; needed where several are in production.")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    open_door: Annotated[bool, typer.Option("--no-key", help="Ask for no key. For the loopback address only.")] = False,
) -> None:
    """Serves the release in production until Ctrl-C: chat completions with retrieval, streaming and citations.

    The key is METIER_API_KEY, else one that the store makes and keeps (STORE/serve/api_key). Every answer carries an
    `id`; `metier trace ID` shows what stands behind it. On a cluster: `serve deploy serve/production.yaml`.
    """
    from metier.serving.local import serve_forever

    serve_forever(
        Store(store).root,
        host=host,
        port=port,
        model=model,
        require_key=not open_door,
        say=lambda line: print(line, flush=True),
        session=local_ray,
    )
