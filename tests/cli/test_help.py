"""Every command and option says what it is, and saying so is quick."""

import re
import shlex
import subprocess
import sys

import click
import click.shell_completion
import pytest

from vsrd_ray.cli import main

SEQUENCE = "2013_05_28_drive_0000_sync"


def commands(group=main, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        entry = group.get_command(context, name)
        yield (*path, name), entry
        if isinstance(entry, click.Group):
            yield from commands(entry, (*path, name))


@pytest.mark.parametrize(
    ("path", "entry"), list(commands()), ids=lambda value: " ".join(value) if type(value) is tuple else ""
)
def test_every_command_and_option_is_documented(command, path, entry):
    assert entry.help
    for parameter in entry.get_params(click.Context(entry, **main.context_settings)):
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name
    result = command(*path, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_commands_are_those_of_the_handbook():
    names = {" ".join(path) for path, _ in commands()}
    assert names == {
        "label",
        "train",
        "status",
        "synthesize",
        "degrade",
        "datasets",
        "datasets check",
        "labelers",
        "annotate",
        "sample",
        "visualize",
        "visualize labels",
        "visualize annotations",
        "report",
        "convert",
        "export",
        "import",
        "visualize voxels",
        "render",
        "density",
        "evaluate",
        "train-prior",
    }


def test_version_is_that_of_the_package(command):
    from importlib.metadata import version

    assert command("--version").output.strip().endswith(version("vsrd-ray"))


LIGHT, LIGHTEST = {"torch", "ray"}, {"torch", "ray", "cv2", "pyarrow", "pydantic"}


@pytest.mark.parametrize(
    ("arguments", "without"),
    [(["label", "--help"], LIGHTEST), (["--help"], LIGHT), (["evaluate", "--help"], LIGHT), (["labelers"], LIGHT)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_loads_neither_torch_nor_ray(arguments, without):
    code = (
        f"import sys; from vsrd_ray.cli import main; main({arguments}, standalone_mode=False); "
        f"sys.exit(' '.join({without} & sys.modules.keys()) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def leaves():
    return [(path, entry) for path, entry in commands() if not isinstance(entry, click.Group)]


@pytest.mark.parametrize(("path", "entry"), leaves(), ids=lambda value: " ".join(value) if type(value) is tuple else "")
def test_every_command_has_an_example_that_can_be_parsed(path, entry):
    assert entry.epilog, "no example"
    (line,) = [line for line in entry.epilog.splitlines() if line.strip().startswith("vsrd-ray")]
    words = shlex.split(line)[1:]
    assert tuple(words[: len(path)]) == path
    known = {name for option in entry.get_params(click.Context(entry)) for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert entry.make_context(path[-1], words[len(path) :], resilient_parsing=True).args == []


def test_commands_stand_in_the_order_of_work_with_whole_lines(command):
    lines = command("--help").output.splitlines()
    names = [line.split()[0] for line in lines if re.match(r"  [a-z][a-z-]+  +[A-Z]", line)]
    order = ["synthesize", "label", "evaluate", "report", "export", "import", "degrade"]
    assert [name for name in names if name in order] == order
    assert set(names) == {path[0] for path, _ in commands()}
    summaries = [line.split(maxsplit=1)[1] for line in lines if re.match(r"  [a-z][a-z-]+  +[A-Z]", line)]
    assert all(line.endswith(".") and not line.endswith("...") for line in summaries)


def completed(words: str, environment: dict[str, str]) -> list[str]:
    """What a shell is offered for the last of some words."""
    *before, last = shlex.split(words)
    completer = click.shell_completion.ShellComplete(main, environment, "vsrd-ray", "_VSRD_RAY_COMPLETE")
    return [item.value for item in completer.get_completions(before, last)]


def test_shells_complete_configurations_sequences_and_paths(street, monkeypatch):
    monkeypatch.delenv("KITTI360_DATASET", raising=False)
    assert completed("label --config pointsam", {}) == ["pointsam", "pointsam_published"]
    assert completed(f"label --root {street} --sequence 2013_", {}) == [SEQUENCE]
    assert completed(f"export labels --root {street} --sequence 2013_", {}) == [SEQUENCE]
    assert completed("label --sequence 2013_", {}) == []
    assert completed("label --root da", {}) == ["da"]  # the shell looks for files that begin so
    monkeypatch.setenv("KITTI360_DATASET", str(street))
    assert completed("sample --sequence 2013_", {}) == [SEQUENCE]
