"""What the options of `vsrd-ray label` ask for, and which of them are refused."""

import json
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from vsrd_ray import engines
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.engines.ray_data.session import RayOnDemand
from vsrd_ray.pipeline.pool import Machines, Node, PoolRequest
from vsrd_ray.pipeline.request import LabelRequest

SEQUENCE = "2013_05_28_drive_0000_sync"
OTHER = "2013_05_28_drive_0002_sync"
LABELS = ("labels", "kitti")
SCRIPT = Path(sys.executable).with_name("vsrd-ray")
NO_OBJECT = ("--serial", "--classes", "truck")  # so that there is nothing to fit
# The command itself, and then which of the modules that it could do without it has loaded.
COMMAND = """
import sys
from vsrd_ray.cli import main
try:
    main()
finally:
    print("ray" in sys.modules)
"""


@pytest.fixture
def asked_for(command, street, quick, monkeypatch):
    """The request that options make, in place of a run; None if they are refused."""
    requests: list[LabelRequest] = []

    class AskedError(Exception):
        pass

    def no_run(request):
        requests.append(request)
        raise AskedError

    def ask(*options, root=street):
        requests.clear()
        monkeypatch.setattr(engines, "label", no_run)
        result = command("label", "--root", root, "--sequence", SEQUENCE, *quick, *options)
        assert (result.exit_code == 2) != isinstance(result.exception, AskedError)
        return requests[0] if requests else None

    return ask


@pytest.fixture
def refused(command, street, quick, tmp_path):
    """The line with which `vsrd-ray label` refuses options; nothing is written."""

    def line(*options) -> str:
        arguments = ["--root", street, *quick, "--output", tmp_path / "output", *options]
        result = command("label", *arguments)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert not (tmp_path / "output").exists()
        return result.stderr.splitlines()[-1]

    return line


def json_lines(text: str) -> list[dict]:
    """The messages in a log, in each of which there is what is to be there."""
    messages = [json.loads(line) for line in text.splitlines()]
    for message in messages:
        assert message.keys() - {"error"} == {"time", "level", "logger", "message"}
        assert datetime.fromisoformat(message["time"]).tzinfo is not None
        assert message["logger"].startswith("vsrd_ray.")
    return messages


@pytest.mark.ray
def test_serial_run_makes_the_same_bytes_without_ray_and_logs_json(labelled, street, quick, files_in, tmp_path):
    arguments = ["label", "--root", street, "--sequence", SEQUENCE, "--output", tmp_path / "output", *quick]
    command = [sys.executable, "-c", COMMAND, *arguments, "--serial", "--log-format", "json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False", "a serial run needs no Ray"
    assert "Groups    6 of 6 labelled, 0 failed" in done.stdout
    assert files_in(tmp_path / "output", *LABELS) == files_in(labelled[1], *LABELS)
    _, indexing, *_, last = json_lines(done.stderr)
    assert (indexing["level"], indexing["message"]) == ("INFO", "Indexing 24 frames")
    assert last["message"].startswith("6/6 groups, ")


@pytest.mark.ray
def test_run_on_ray_logs_json(label_street, local_ray, tmp_path):
    result = label_street(tmp_path / "output", "--log-format", "json", "--limit", "1")
    assert result.exit_code == 0, result.output
    config, indexing, *between, last = json_lines(result.stderr)
    assert (indexing["message"], last["message"].partition(",")[0]) == ("Indexing 24 frames", "1/1 groups")
    assert {line["message"] for line in between} <= {"0/1 groups, starting"}  # one every 15 s
    assert config["message"].startswith("Configuration demo --set ")


def test_errors_are_logged_as_json_too_and_tried_as_often_as_wished(
    label_street, broken_labeler, monkeypatch, tmp_path
):
    monkeypatch.setattr(engines.label, "__kwdefaults__", {"labeler_factory": broken_labeler})
    options = ("--serial", "--limit", "1", "--max-attempts", "2", "--log-format", "json")
    result = label_street(tmp_path / "output", *options)
    assert result.exit_code == 3
    errors = [message for message in json_lines(result.stderr) if message["level"] == "ERROR"]
    assert len(errors) == 2
    for error in errors:
        assert "failed" in error["message"]
        assert error["error"].startswith("Traceback")
        assert "ZeroDivisionError: of all\n  things" in error["error"]
    (failure,) = json.loads((tmp_path / "output" / "manifest.json").read_text())["failures"]
    assert failure["attempts"] == 2


@pytest.fixture
def two_sequences(root):
    """ROOT with another sequence, and poses of a third one that has no masks."""
    for folder in (paths.masks_root(root), paths.poses_root(root)):
        shutil.copytree(folder / SEQUENCE, folder / OTHER)
    shutil.copytree(paths.poses_root(root) / SEQUENCE, paths.poses_root(root) / "2013_05_28_drive_0003_sync")
    return root


def test_all_stands_for_every_sequence_with_masks(command, two_sequences, quick, tmp_path):
    result = command("label", "--root", two_sequences, "--sequence", "all", *quick, *NO_OBJECT)
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "here" / "outputs" / "all" / "manifest.json").read_text())
    assert manifest["inputs"]["sequences"] == [SEQUENCE, OTHER]
    assert "Frames    48 of 48 labelled, 0 skipped" in result.stdout


def test_all_beside_another_sequence_is_refused(refused):
    line = refused("--sequence", "all", "--sequence", SEQUENCE, "--serial")
    assert "--sequence all stands for every sequence: give no other beside it" in line


def test_all_where_no_sequence_has_masks_of_the_camera_is_refused(refused, street):
    line = refused("--sequence", "all", "--camera", "image_01", "--serial")
    assert f"no instance masks of image_01 in {paths.masks_root(street)}" in line


@pytest.mark.ray
@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "127.0.0.1:9",
            r"no Ray cluster can be reached there \(ConnectionRefusedError: .*\); start one with `ray start",
        ),
        ("127.0.0.1:head", r"no Ray cluster can be reached there \(ValueError: .*\); start one with `ray start"),
        ("ray://127.0.0.1:10001", "expected HOST:PORT or auto; .* `ray job submit`"),
    ],
)
def test_address_of_no_cluster_that_can_be_driven_from_here_is_refused(street, quick, tmp_path, *, address, said):
    arguments = ["label", "--root", street, "--sequence", SEQUENCE, "--output", tmp_path / "output", *quick]
    command = [SCRIPT, *arguments, "--address", address]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert re.match(f"Error: --address {address}: {said}", line)
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("options", "arithmetic"),
    [
        (
            ("--num-actors", "99"),
            "a pool of 99 actors x (1 CPU) and 33 CPU to load needs 132 CPUs, and there are 8 CPUs and 0 GPUs: "
            "at most --num-actors 6 fits",
        ),
        (
            ("--num-actors", "1:3", "--num-cpus", "4"),
            "a pool of 3 actors x (4 CPU) and 1 CPU to load needs 13 CPUs, and there are 8 CPUs and 0 GPUs: "
            "at most --num-actors 1 fits",
        ),
        (("--accelerator-type", "A100"), "--accelerator-type A100: no such GPU here; there are none"),
        (("--num-actors", "1:2", "--initial-actors", "3"), "--initial-actors 3: expected a number from 1 to 2"),
        (("--device", "cuda"), "--device cuda: there is no CUDA device here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_pool_that_can_never_be_placed_is_refused_with_the_arithmetic(refused, monkeypatch, options, arithmetic):
    cluster = Machines(present=(Node(cpus=4, gpus=0, count=2),))
    monkeypatch.setattr(RayOnDemand, "machines", lambda self: cluster)
    assert arithmetic in refused("--sequence", SEQUENCE, *options)


@pytest.mark.parametrize(
    "option",
    [
        ("--max-attempts", "0"),
        ("--max-attempts", "many"),
        ("--group-timeout", "-1"),
        ("--group-timeout", "soon"),
        ("--batch-size", "0"),
        ("--initial-actors", "0"),
        ("--num-cpus", "0"),
        ("--log-format", "xml"),
    ],
    ids=" ".join,
)
def test_value_that_cannot_be_meant_is_refused(refused, option):
    line = refused("--sequence", SEQUENCE, *option)
    assert f"Invalid value for '{option[0]}'" in line


def test_options_make_the_request(asked_for):
    options = ("--max-attempts", "5", "--group-timeout", "12.5", "--batch-size", "4", "--initial-actors", "2")
    options += ("--num-actors", "1:3", "--num-gpus", "0.5", "--num-cpus", "2", "--accelerator-type", "A100")
    options += ("--device", "cuda", "--address", "auto", "--limit", "7", "--trace", "--dashboard", "--verbose")
    request = asked_for(*options)
    assert (request.max_attempts, request.group_timeout, request.limit, request.address) == (5, 12.5, 7, "auto")
    assert (request.trace, request.dashboard, request.verbose, request.serial) == (True, True, True, False)
    assert request.pool == PoolRequest((1, 3), 2, 0.5, 2, "A100", 4, "cuda")


def test_without_options_the_machines_and_the_configuration_decide(asked_for, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    request = asked_for()
    assert (request.max_attempts, request.group_timeout, request.address) == (3, None, None)
    assert request.pool == PoolRequest()
    assert asked_for("--group-timeout", "0").group_timeout == 0


def test_address_may_stand_in_the_environment(asked_for, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert asked_for().address == "10.0.0.1:6379"


def test_places_may_be_uris(asked_for, s3_server):
    request = asked_for("--output", "s3://bucket/labels", root="s3://bucket/kitti360")
    assert (str(request.root), str(request.output)) == ("s3://bucket/kitti360", "s3://bucket/labels")


@pytest.mark.parametrize("options", [("--address", "auto"), ("--dashboard",)])
def test_options_about_ray_are_refused_beside_serial(refused, options):
    line = refused("--sequence", SEQUENCE, "--serial", *options)
    assert line == f"Error: --serial works without Ray: leave {options[0]} out, or --serial"


def test_address_of_the_environment_is_no_hindrance_to_a_serial_run(label_street, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", "10.9.9.9:6379")
    assert label_street(tmp_path / "output", "--serial", "--limit", "1").exit_code == 0


def test_what_ends_a_run_is_logged_as_json_too(command, street, quick, tmp_path):
    arguments = ("--root", street, *quick, "--output", tmp_path / "output", "--log-format", "json")
    result = command("label", *arguments, "--sequence", "no_such_drive")
    assert (result.exit_code, result.stdout) == (2, "")
    (message,) = json_lines(result.stderr)
    assert message["level"] == "ERROR"
    assert "no sequence 'no_such_drive'" in message["message"]


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ("fast", ("--boxes", "other")),
        ("fast", ("--depth", "other")),
        ("density", ("--grouping", "scene")),
    ],
)
def test_an_option_of_another_labeler_is_refused_by_its_name(command, street, tmp_path, config, options):
    arguments = ("--root", street, "--sequence", SEQUENCE, "--config", config, "--output", tmp_path / "out")
    result = command("label", *arguments, *options)
    assert result.exit_code == 2
    assert result.stderr == (
        f"Error: {' '.join(options)}: the labeler {'vsrd' if config == 'fast' else config} takes none: leave it out, "
        "or give a --config of one that does\n"
    )
    assert not (tmp_path / "out").exists()
