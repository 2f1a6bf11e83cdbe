"""The supersede stage as a job: `ray job submit --working-dir . -- python jobs/run_supersede.py --help`."""

from metier.cli import run_stage

run_stage("supersede")
