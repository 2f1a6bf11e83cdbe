"""The anonymise_dialogues stage as a job: `ray job submit --working-dir . -- python jobs/run_anonymise_dialogues.py --help`."""

from metier.cli import run_stage

run_stage("anonymise_dialogues")
