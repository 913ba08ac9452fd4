"""Configurations of all labelers: YAML files that name their labeler, shipped beside it or given by the user.

A file says in which values it departs from its `base`, a configuration that ships. A user's file that names none
departs from the default; one that ships, from the values in the labeler's model.
"""

import logging
from collections.abc import Iterable
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from vsrd_ray import plugins
from vsrd_ray.errors import ConfigError, InputError, nearest_name
from vsrd_ray.labelers.base import Solids
from vsrd_ray.labels.base import Importer
from vsrd_ray.settings import MAX_BYTES, LabelerSettings, merged, overridden, parse_yaml, validated

logger = logging.getLogger(__name__)

DEFAULT_LABELER = "vsrd"  # of a file that does not name any
DEFAULT_CONFIG = "fast"  # of commands, and the base of a file for this labeler that does not name any


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
        ConfigError: no such configuration, base or labeler, no valid YAML, an unknown key or a value out of range.
    """
    values = _shipped_values(name_or_file) if name_or_file in _shipped() else _laid_over(*_read_file(name_or_file))
    return from_values(overridden(values, overrides), source=name_or_file)


def title_of(name_or_file: str, overrides: Iterable[str] = ()) -> str:
    """What a configuration is called where a run begins: its name or file, its base, and what was changed.

    Raises:
        ConfigError: see `load_config`.
    """
    base = None if name_or_file in _shipped() else _read_file(name_or_file)[1]
    changes = [f"--set {override}" for override in overrides]
    return " ".join([name_or_file, *([] if base is None else [f"over {base}"]), *changes])


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


def importer_of(dumped: dict[str, Any]) -> Importer | None:
    """What takes corrected labels back, where kinds leave that to the labeler of a run's configuration."""
    name = dumped.get("labeler", "")
    return plugins.load("labelers", name).importer if name in plugins.installed("labelers") else None


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
def _shipped_values(name: str) -> dict[str, Any]:
    """All values of a configuration that ships; they are not to be changed."""
    values = parse_yaml(_shipped()[name].read_bytes(), source=name)
    return _laid_over(values, values.pop("base", None))


def _read_file(file: str) -> tuple[dict[str, Any], str | None]:
    """The values that a user's file gives itself, and the name of its base, if it has any."""
    values = parse_yaml(content(file, shipped_configs()), source=file)
    is_of_default = values.get("labeler", DEFAULT_LABELER) == DEFAULT_LABELER
    base = values.pop("base", None) or (DEFAULT_CONFIG if is_of_default else None)
    if base is not None and base not in shipped_configs():
        raise ConfigError(f"{file}: base: no configuration {base!r}: give one of {', '.join(shipped_configs())}")
    return values, base


def _laid_over(values: dict[str, Any], base: str | None) -> dict[str, Any]:
    return values if base is None else merged(_shipped_values(base), values)


def content(file: str, known: Iterable[str]) -> bytes:
    """The bytes of a user's file, or more than any configuration has.

    Args:
        file: its path.
        known: names of the configurations that ship, for the error.

    Raises:
        ConfigError: there is no such file, or it cannot be read.
    """
    known = list(known)
    try:
        if Path(file).is_file():
            with Path(file).open("rb") as opened:
                return opened.read(MAX_BYTES + 1)
        is_folder = Path(file).is_dir()
    except (OSError, ValueError) as error:  # no permission, or a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"configuration {file!r} cannot be read ({reason}): give a YAML file that can") from error
    names = ", ".join(known)
    if is_folder:
        raise ConfigError(f"configuration {file!r} is a folder: give a YAML file in it, or one of {names}")
    nearest = nearest_name(file, known)
    hint = "." if nearest is None else f"; did you mean {nearest!r}?"
    raise ConfigError(f"no configuration {file!r}{hint} Give a YAML file or one of {names}")


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
