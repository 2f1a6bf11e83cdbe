"""The report stage as a job: `ray job submit --working-dir . -- python jobs/run_report.py --help`."""

from metier.cli import run_stage

run_stage("report")
