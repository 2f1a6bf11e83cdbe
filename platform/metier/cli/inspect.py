"""`metier trace`: from something that was made back to what it was made from."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer
from rich.console import Console

from metier.cli.run import STORE, JsonOption, StoreOption
from metier.lineage.store import Store


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(trace)


def trace(
    answer_id: Annotated[str, typer.Argument(help="The `id` of a served answer.", show_default=False)],
    store: StoreOption = STORE,
    pairs: Annotated[int, typer.Option(min=0, max=100, help="Nearest training pairs to show.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Shows what stands behind a served answer: its passages, their documents, the nearest training pairs, the steps.

    The id stands in every answer of the service (`id`), and in the log under STORE/answers/.
    """
    from metier.lineage.trace import show
    from metier.lineage.trace import trace as traced

    found = traced(Store(store).root, answer_id, pairs=pairs)
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=1, ensure_ascii=False))
    else:
        show(found, Console())
