"""The deduplicate_documents stage as a job: `ray job submit --working-dir . -- python jobs/run_deduplicate_documents.py --help`."""

from metier.cli import run_stage

run_stage("deduplicate_documents")
