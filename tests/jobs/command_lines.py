"""Command lines through the parsers of their own programs, without running them."""

import re

import click


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> click.Context:
    """The context of the command that the words call, down through groups.

    Raises:
        KeyError: for a command that there is not.
        click.ClickException: for options and values that the command does not take.
    """
    if isinstance(command, click.Group):
        context = click.Context(command, parent=parent, info_name=command.name, **command.context_settings)
        if (found := command.get_command(context, words[0])) is None:
            raise KeyError(words[0])
        return parse(found, words[1:], context)
    return command.make_context(command.name, list(words), parent=parent)


def parse_vsrd_ray(words: list[str]) -> click.Context:
    """The same for `vsrd-ray`. URIs are replaced by paths, so that no storage's library needs to be there."""
    from vsrd_ray.cli import main

    return parse(main, [re.sub(r"^(s3|gs|az)://", "/", word) for word in words])


def parse_ray(words: list[str]) -> click.Context:
    """The same for `ray`."""
    from ray.scripts.scripts import cli

    return parse(cli, words)
