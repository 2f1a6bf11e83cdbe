"""The synthesise stage as a job: `ray job submit --working-dir . -- python jobs/run_synthesise.py --help`."""

from metier.cli import run_stage

run_stage("synthesise")
