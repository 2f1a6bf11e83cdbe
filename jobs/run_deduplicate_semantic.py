"""The deduplicate_semantic stage as a job: `ray job submit --working-dir . -- python jobs/run_deduplicate_semantic.py --help`."""

from metier.cli import run_stage

run_stage("deduplicate_semantic")
