"""Configurations of all labelers: YAML files that name their labeler, shipped beside it or given by the user."""

import logging
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from vsrd_ray import plugins
from vsrd_ray.errors import ConfigError, InputError
from vsrd_ray.labelers.base import Solids
from vsrd_ray.settings import LabelerSettings, parse_yaml, validated

logger = logging.getLogger(__name__)

DEFAULT_LABELER = "vsrd"  # of a file that does not name any


def shipped_configs() -> list[str]:
    """Names of the configurations that ship with the installed labelers, sorted."""
    return sorted(_shipped())


def configs_of(labeler: str) -> list[str]:
    """Names of the configurations that ship with one labeler, sorted."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _files(labeler))


def load_config(name_or_file: str, overrides: Iterable[str] = ()) -> LabelerSettings:
    """A validated configuration, in the model of the labeler that it names.

    Args:
        name_or_file: a name from `shipped_configs()`, or a YAML file.
        overrides: texts such as "schedule.steps=200"; the value is read as YAML.

    Raises:
        ConfigError: no such configuration or labeler, no valid YAML, an unknown key or a value out of range.
    """
    if (shipped := _shipped().get(name_or_file)) is not None:
        text = shipped.read_text()
    elif Path(name_or_file).is_file():
        text = Path(name_or_file).read_text()
    else:
        nearest = get_close_matches(name_or_file, shipped_configs(), n=1, cutoff=0.0)[0]
        raise ConfigError(
            f"no configuration {name_or_file!r}; did you mean {nearest!r}? "
            f"Give a YAML file or one of {', '.join(shipped_configs())}"
        )
    return from_values(parse_yaml(text, source=name_or_file, overrides=overrides), source=name_or_file)


def from_values(values: dict[str, Any], *, source: str = "configuration") -> LabelerSettings:
    """The settings that some values make, in the model of the labeler that they name.

    Raises:
        ConfigError: see `load_config`.
    """
    try:
        model: type[LabelerSettings] = plugins.load("labelers", str(values.get("labeler", DEFAULT_LABELER))).config
    except InputError as error:
        raise ConfigError(f"{source}: labeler: {error}") from error
    return validated(model, values, source=source)


def solids_of(dumped: dict[str, Any]) -> Solids | None:
    """What makes the bodies behind a run's labels, for pictures.

    Args:
        dumped: the configuration in the run's manifest.

    Returns:
        None where the labeler has none, or where this version no longer understands the configuration.
    """
    try:
        config = from_values(dumped)
        solids = plugins.load("labelers", config.labeler).solids
        return None if solids is None else solids(config)
    except (ConfigError, InputError) as error:
        logger.warning("Boxes are drawn in place of fitted bodies: %s", error)
        return None


@cache
def _shipped() -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    for labeler in plugins.installed("labelers"):
        for entry in _files(labeler):
            name = entry.name.removesuffix(".yaml")
            if name in found:
                raise ConfigError(f"two installed labelers ship a configuration {name!r}: uninstall one of them")
            found[name] = entry
    return found


def _files(labeler: str) -> list[Traversable]:
    """The YAML files in the folder `configs` beside a labeler's configuration model."""
    folder = resources.files(plugins.load("labelers", labeler).config.__module__.rpartition(".")[0]) / "configs"
    return [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")] if folder.is_dir() else []
