"""The register stage as a job: `ray job submit --working-dir . -- python jobs/run_register.py --help`."""

from metier.cli import run_stage

run_stage("register")
