"""Runs that reports are made of."""

from click.testing import CliRunner

from vsrd_ray.cli import main

SEQUENCE = "2013_05_28_drive_0000_sync"


def run_command(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
