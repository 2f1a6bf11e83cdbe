"""The split stage as a job: `ray job submit --working-dir . -- python jobs/run_split.py --help`."""

from metier.cli import run_stage

run_stage("split")
