"""`ray job submit` of the entry point to a real head: what a job of labelling does, says and leaves."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_head import NUM_GROUPS, Head, label_command, running_head, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    # Time to close the output between SIGTERM and SIGKILL, on a busy machine too.
    with running_head("--num-cpus=3", RAY_JOB_STOP_WAIT_TIME_S="120") as one:
        yield one


def test_job_with_bad_input_fails_with_exit_code_2(head: Head, street: Path, tmp_path: Path):
    command = label_command(street, tmp_path / "output", "--sequence", "no_such_drive")
    said = head.job("submit", "--submission-id", "bad", "--working-dir", ".", "--", *command, check=False)
    assert "no_such_drive" in said
    status = head.job("status", "bad", check=False)
    assert "'bad' failed" in status and "exit code 2" in status
    assert not (tmp_path / "output" / "labels").exists()


def test_stopped_job_goes_on_when_it_is_submitted_again(head: Head, street: Path, tmp_path: Path):
    output = tmp_path / "output"
    submit = ("--working-dir", ".", "--", *label_command(street, output, "--num-actors", "1"))
    head.job("submit", "--no-wait", "--submission-id", "stopped", *submit)
    wait_until(lambda: list(output.glob("groups/*.parquet")), seconds=900, what="a group")
    head.job("stop", "stopped")
    assert "'stopped' was stopped" in head.job("status", "stopped")
    assert 1 <= len(list(output.glob("groups/*.parquet"))) < NUM_GROUPS
    assert "groups done; the same command goes on from there." in head.job("logs", "stopped")
    manifest = json.loads((output / "manifest.json").read_text())
    assert (manifest["status"], manifest["progress"]["interrupted"]) == ("running", True)

    head.job("submit", "--submission-id", "again", *submit)
    assert "'again' succeeded" in head.job("status", "again")
    assert f"Groups    {NUM_GROUPS} of {NUM_GROUPS} labelled, 0 failed" in head.job("logs", "again")
    listed = head.job("list")
    assert "'again'" in listed and "'stopped'" in listed
    assert json.loads((output / "manifest.json").read_text())["counts"]["groups_failed"] == 0
    assert list(output.glob("labels/sequence=*/*.parquet"))


def test_head_refuses_who_has_no_token(head: Head):
    stranger = dataclasses.replace(head, environment=head.environment | {"RAY_AUTH_TOKEN": "a guess"})
    assert "AuthenticationError" in stranger.job("list", check=False)
