"""The `metier` command. One file a group of commands; this one only gathers them.

Exit codes: 0 done, 1 a step failed, 2 what was given can't be used (nothing changed), 3 the gate refused the model,
130 stopped by Ctrl-C (a new run goes on from there).
"""

from __future__ import annotations

import os
import sys

import typer

from metier.cli import inspect, make, run, serve, stage
from metier.errors import MetierError

app = typer.Typer(
    name="metier",
    help="From a domain's documents to a specialist language model: trained, graded, quantised, served, traceable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (make, run, stage, inspect, serve):
    module.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    try:
        app(arguments, standalone_mode=True)
    except MetierError as error:
        # One line, whatever the message holds: scripts and people read the first line only.
        print("metier: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("\nmetier: stopped. What is finished is kept; run the same command again to go on.", file=sys.stderr)
        sys.stderr.flush()
        os._exit(130)


def run_stage(name: str) -> None:
    """What a job script calls: the stage `name` with the command line's own arguments."""
    main(["stage", name, *sys.argv[1:]])
