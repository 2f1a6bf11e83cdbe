"""Stages as jobs: `ray job submit` to a cluster that asks for its token, and the same bytes as without it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from tests.fixtures.command_line import metier
from tests.fixtures.token_cluster import token_cluster

pytestmark = pytest.mark.timeout(600)
MEGABYTE = 1_000_000
LEAVE = "How many days is a leave?", "A leave lasts 30 days.", "A leave lasts 30 days."
BREAK = "How long is a break at noon?", "A break lasts 45 minutes.", "A break at noon lasts 45 minutes."
PAY = "What is the pay of a trainee?", "It is 900 units.", "A trainee has no pay."  # the evidence says otherwise


def pair(question: str, answer: str, evidence: str) -> dict[str, object]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "task": "default", "source": "structured", "evidence": evidence}


@pytest.fixture(scope="module")
def cluster():
    with token_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    file = tmp_path_factory.mktemp("input") / "pairs.jsonl"
    file.write_text("".join(json.dumps(pair(*one)) + "\n" for one in (LEAVE, BREAK, LEAVE, PAY)))
    return file


@pytest.fixture(scope="module")
def deduplicated(cluster, pairs, tmp_path_factory):
    """What the job said, and the folder that it wrote."""
    out = tmp_path_factory.mktemp("deduplicated") / "out"
    words = ("--input", pairs, "--output", out, "--set", "threshold=0.7")
    return cluster.submit("python", "jobs/run_deduplicate.py", *words), out


@pytest.fixture(scope="module")
def filtered(cluster, pairs, tmp_path_factory):
    """The same of another stage, with the checkout's package in place of the cluster's installed one."""
    out = tmp_path_factory.mktemp("filtered") / "out"
    package = {"py_modules": ["platform/metier"]}
    return cluster.submit("python", "jobs/run_filter.py", "--input", pairs, "--output", out, runtime_env=package), out


def rejected(out: Path) -> list[dict[str, str]]:
    return pq.read_table(out / "rejected.parquet").select(["reason", "evidence"]).to_pylist()


def test_a_job_ends_well_and_leaves_rows_reasons_and_a_manifest(deduplicated):
    job, out = deduplicated
    assert job.returncode == 0, job.stdout + job.stderr
    assert "succeeded" in job.stdout + job.stderr
    assert "deduplicate: 4 read, 3 kept, rejected: exact_duplicate 1" in job.stdout
    assert pq.read_table(out / "kept.parquet").num_rows == 3
    (lost,) = rejected(out)
    assert lost["reason"] == "exact_duplicate"
    assert lost["evidence"].startswith("repeats ")


def test_a_job_runs_the_checkouts_package_where_it_is_sent_along(cluster, filtered):
    job, out = filtered
    assert job.returncode == 0, job.stdout + job.stderr
    assert {row["reason"] for row in rejected(out)} == {"number_not_in_source"}
    sent = (cluster.folder / "session_latest" / "runtime_resources" / "py_modules_files").glob("*/metier/cli/stage.py")
    assert len(list(sent)) == 1


@pytest.mark.parametrize(("stage", "words"), [("deduplicate", ("--set", "threshold=0.7")), ("filter", ())])
def test_a_job_writes_the_bytes_that_the_command_line_writes_alone(ray_cluster, request, pairs, tmp_path, stage, words):
    _, out = request.getfixturevalue("deduplicated" if stage == "deduplicate" else "filtered")
    alone = metier("stage", stage, "--input", pairs, "--output", tmp_path / "out", *words)
    assert alone.code == 0, alone.err
    for name in ("manifest.json", "kept.parquet", "rejected.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (out / name).read_bytes()


def test_the_upload_is_the_code_and_nothing_that_a_checkout_gathers(cluster, deduplicated):
    packages = cluster.folder / "session_latest" / "runtime_resources" / "working_dir_files"
    (root,) = (p for p in packages.iterdir() if p.is_dir())
    files = [p for p in root.rglob("*") if p.is_file()]
    assert root / "jobs" / "run_filter.py" in files
    top = {p.relative_to(root).parts[0] for p in files}
    assert top <= {"examples", "jobs", "platform", "serve"}
    assert not [p for p in files if any(part.endswith(("_cache", "__pycache__")) for part in p.parts)]
    assert sum(p.stat().st_size for p in files) < 10 * MEGABYTE


def test_a_job_that_is_refused_fails_with_the_one_line_that_says_why(cluster, tmp_path):
    job = cluster.submit(
        "python", "jobs/run_filter.py", "--input", tmp_path / "none.jsonl", "--output", tmp_path / "out"
    )
    assert job.returncode == 1
    assert f"metier: {tmp_path / 'none.jsonl'}: there is no such file" in job.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "credentials",
    [{}, {"RAY_AUTH_MODE": "token"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}],
    ids=["none", "none found", "wrong"],
)
def test_who_does_not_hold_the_token_runs_nothing(cluster, tmp_path, credentials):
    before = cluster.get("/api/jobs/").json()
    job = cluster.submit("touch", tmp_path / "mark", credentials=credentials)
    assert job.returncode == 1
    assert "AuthenticationError" in job.stderr
    assert cluster.get("/api/jobs/").json() == before
    assert not (tmp_path / "mark").exists()


def test_the_dashboard_shows_nothing_without_the_token(cluster):
    assert httpx.get(cluster.address + "/api/jobs/").status_code == 401
    assert cluster.get("/api/jobs/").status_code == 200
