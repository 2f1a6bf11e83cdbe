"""The import_dialogues stage as a job: `ray job submit --working-dir . -- python jobs/run_import_dialogues.py --help`."""

from metier.cli import run_stage

run_stage("import_dialogues")
