"""The screen stage as a job: `ray job submit --working-dir . -- python jobs/run_screen.py --help`."""

from metier.cli import run_stage

run_stage("screen")
