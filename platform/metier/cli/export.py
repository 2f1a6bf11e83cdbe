"""`metier export`: a finished table of dialogues as JSONL, in the form that another trainer or an annotation tool reads."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from metier.cli.run import JsonOption
from metier.cli.stage import open_input, scratch_beside
from metier.errors import InputError, StepError
from metier.execution.session import local_ray
from metier.execution.step import Input
from metier.lineage.artifact import Artifact
from metier.records import Dialogue
from metier.text.chat_formats import FORMATS, ChatFormat, UnwritableChat, row_of


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(export)


def export(
    table: Annotated[str, typer.Argument(help="A stage's output folder, or a .jsonl or .parquet file of dialogues.")],
    output: Annotated[Path, typer.Option(help="The .jsonl file to write.", show_default=False)],
    form: Annotated[str, typer.Option("--format", help=", ".join(FORMATS) + ".")] = "openai",
    part: Annotated[
        str, typer.Option("--table", help="Which table of the folder: `blend` has validation too.")
    ] = "kept",
    as_json: JsonOption = False,
) -> None:
    """Writes dialogues as OpenAI messages, ShareGPT, Alpaca or ChatML; `metier stage import_dialogues` reads them back.

    These forms hold the messages alone: task, source, evidence and lineage stay where they are. A dialogue whose messages
    the form can't hold to the letter is refused, and nothing is written.
    """
    chosen = next((one for one in FORMATS if one == form), None)
    if chosen is None:
        raise InputError(f"--format {form}: one of {', '.join(FORMATS)}")
    if output.exists():
        raise InputError(f"--output {output}: the file is there already; name another")
    if output.suffix.lower() != ".jsonl" or not output.absolute().parent.is_dir():
        raise InputError(f"--output {output}: name a .jsonl file in a folder that is there")
    wanted = Input("a table of dialogues", record=Dialogue, table=part)
    with scratch_beside(output) as scratch, contextlib.ExitStack() as session:
        try:
            opened = open_input(wanted, table, scratch, lambda: session.enter_context(local_ray()))
        except StepError as error:  # the folder has no such table
            raise InputError(str(error)) from None
        if not isinstance(opened, Artifact):
            raise InputError(f"{table}: not a table of dialogues")
        rows = _written(output.absolute(), _lines(opened.records(Dialogue, part), chosen))
    if as_json:
        print(json.dumps({"output": str(output), "format": chosen, "rows": rows}))
    else:
        print(f"{rows:,} dialogues as {chosen} -> {output} (messages alone; task, source and lineage stay in {table})")


def _lines(dialogues: Iterable[Dialogue], form: ChatFormat) -> Iterator[str]:
    for number, dialogue in enumerate(dialogues, 1):
        try:
            yield json.dumps(row_of(dialogue.messages, form), ensure_ascii=False) + "\n"
        except UnwritableChat as fault:
            raise InputError(f"row {number} ({dialogue.id}): {fault}; nothing is written") from None


def _written(output: Path, lines: Iterable[str]) -> int:
    """The number of lines, all of which are written, or none."""
    unfinished = output.with_name(f".{output.name}.part")
    rows = 0
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            for rows, line in enumerate(lines, 1):  # noqa: B007 (their number is what is given)
                file.write(line)
        unfinished.rename(output)
    finally:
        unfinished.unlink(missing_ok=True)
    return rows
