"""Every command and option says what it is, and saying so is quick."""

import subprocess
import sys

import click
import pytest

from vsrd_ray.cli import main


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
