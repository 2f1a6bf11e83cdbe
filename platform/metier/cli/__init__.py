"""The `metier` command. One file a group of commands; this one only gathers them.

Exit codes: 0 done, 1 a step failed, 2 what was given can't be used (nothing changed), 3 the gate refused the model,
130 stopped by Ctrl-C (a new run goes on from there).
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import traceback

import typer

from metier.cli import data, export, inspect, make, run, serve, stage
from metier.cli.display import harmless
from metier.errors import InputError, MetierError

MOST_CHARACTERS = 1500  # of a message: a value of megabytes is not repeated

app = typer.Typer(
    name="metier",
    help="From a domain's documents to a specialist language model: trained, graded, quantised, served, traceable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (make, run, stage, data, export, inspect, serve):
    module.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    for stream in (sys.stdout, sys.stderr):  # a terminal without Unicode shows what it can
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app(arguments, standalone_mode=True)
    except MetierError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except OSError as error:  # a path that can't be one, a folder that can't be written
        _say(f"{error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(InputError.exit_code)
    except Exception as error:
        with tempfile.NamedTemporaryFile("w", prefix="metier-", suffix=".log", delete=False, encoding="utf-8") as log:
            traceback.print_exc(file=log)
        _say(f"{type(error).__name__}: {error} (not foreseen, so please report it with {log.name})")
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nmetier: stopped. What is finished is kept; run the same command again to go on.", file=sys.stderr)
        sys.stderr.flush()
        os._exit(130)


def _say(message: str) -> None:
    """One short line, whatever the message holds: scripts and people read the first line only."""
    line = harmless(message)
    print("metier: " + (line if len(line) <= MOST_CHARACTERS else line[:MOST_CHARACTERS] + " ..."), file=sys.stderr)


def run_stage(name: str) -> None:
    """What a job script calls: the stage `name` with the command line's own arguments."""
    main(["stage", name, *sys.argv[1:]])
