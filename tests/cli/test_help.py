"""Every command and option says what it is, and saying so is quick."""

import subprocess
import sys

import click
import pytest

from vsrd_ray.cli import main


def commands(group=main, path=()):
    for name, entry in group.commands.items():
        yield (*path, name), entry
        if isinstance(entry, click.Group):
            yield from commands(entry, (*path, name))


@pytest.mark.parametrize(
    ("path", "entry"), list(commands()), ids=lambda value: " ".join(value) if type(value) is tuple else ""
)
def test_every_command_and_option_is_documented(command, path, entry):
    assert entry.help
    for parameter in entry.params:
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


def test_help_loads_neither_torch_nor_ray():
    code = (
        "import sys; from vsrd_ray.cli import main; main(['label', '--help'], standalone_mode=False); "
        "sys.exit(bool({'torch', 'ray', 'cv2', 'pyarrow', 'pydantic'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
