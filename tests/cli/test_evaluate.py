"""`vsrd-ray evaluate` and its options."""

import json
import re
import shutil

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


@pytest.fixture
def output(labelled, tmp_path):
    """A copy of a run, to be evaluated."""
    return shutil.copytree(labelled[1], tmp_path / "output")


def test_report_and_json(command, output, street):
    text = command("evaluate", output, "--root", street).stdout
    assert {"IoU3D", "KITTI AP R40, %", "KITTI-360 AP, %", "confidence"} <= {
        block.partition("  ")[0] for block in text.split("\n\n")
    }
    printed = command("evaluate", output, "--root", street, "--json", "--prefer", "auto").stdout
    assert json.loads(printed) == json.loads((output / "evaluation.json").read_text())


def test_on_a_cluster_it_says_the_same(command, output, street):
    here = command("evaluate", output, "--root", street)
    there = command("evaluate", output, "--root", street, "--address", "auto")
    assert here.exit_code == there.exit_code == 0, there.output
    assert there.stdout == here.stdout


def test_two_runs_are_compared_on_a_cluster(command, labelled, output, street, monkeypatch):
    from vsrd_ray.engines.ray_data import evaluating

    sessions = []
    session = evaluating.ray_session
    monkeypatch.setattr(
        evaluating, "ray_session", lambda *, address: sessions.append(address) or session(address=address)
    )
    arguments = ("evaluate", "--compare", labelled[1], output, "--root", street)
    here, there = command(*arguments), command(*arguments, "--address", "auto")
    assert here.exit_code == there.exit_code == 0, there.output
    assert there.stdout == here.stdout and sessions == ["auto"]


def test_two_runs_side_by_side(command, labelled, output, street):
    result = command("evaluate", "--compare", labelled[1], output, "--root", street)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"A: {labelled[1]}\nB: {output}\n")
    assert "+0.000 to +0.000" in result.stdout
    printed = command("evaluate", "--compare", labelled[1], output, "--root", street, "--json").stdout
    assert [one["difference"] for one in json.loads(printed)["differences"]] == [0.0] * 5
    assert not (output / "evaluation.json").exists()


def test_an_evaluation_that_cannot_be_written_is_printed_nevertheless(command, output, street):
    (output / "evaluation.json").mkdir()
    result = command("evaluate", output, "--root", street)
    assert result.exit_code == 0 and "IoU3D" in result.stdout
    assert re.search(rf"not kept: {output}/evaluation\.json cannot be used \(Is a directory\)", result.stderr)


def test_an_unfinished_run_is_told(command, labelled, output, street):
    manifest = json.loads((output / "manifest.json").read_text())
    (output / "manifest.json").write_text(json.dumps(manifest | {"status": "running"}))
    assert "the run has not ended: " in command("evaluate", output, "--root", street).stdout
    compared = command("evaluate", "--compare", labelled[1], output, "--root", street)
    assert "\nB has not ended: " in compared.stdout and "A has not ended" not in compared.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either OUTPUT, or --compare A B"),
        (["a", "--compare", "a", "b"], "give either OUTPUT, or --compare A B"),
        (["--compare", "a", "b", "--official"], "--official is for one run"),
        (["--compare", "a", "b"], "no a/manifest.json"),
        (["a", "--max-range", "0"], "the range must be greater than 0 m"),
    ],
)
def test_bad_input_is_named(command, street, arguments, message):
    result = command("evaluate", *arguments, "--root", street)
    assert result.exit_code == 2 and message in result.stderr
