"""The tune stage as a job: `ray job submit --working-dir . -- python jobs/run_tune.py --help`."""

from metier.cli import run_stage

run_stage("tune")
