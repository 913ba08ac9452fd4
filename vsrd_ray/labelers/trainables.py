"""What the installed labelers can train, and the configurations of training that ship with them.

A file names what it trains (`trainable: …`) or its `base`, a configuration that ships and from which it departs.
"""

from collections.abc import Iterable
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from vsrd_ray import plugins
from vsrd_ray.errors import ConfigError, nearest_name
from vsrd_ray.labelers.configs import content
from vsrd_ray.settings import merged, overridden, parse_yaml, validated
from vsrd_ray.training.base import TrainableSpec
from vsrd_ray.training.settings import TrainingSettings


@cache
def installed_trainables() -> dict[str, TrainableSpec[Any]]:
    """What can be trained, by name.

    Raises:
        ConfigError: two labelers give the same name.
    """
    found: dict[str, TrainableSpec[Any]] = {}
    for labeler in plugins.installed("labelers"):
        for spec in plugins.load("labelers", labeler).trainables():
            if spec.name in found:
                raise ConfigError(f"two installed labelers train {spec.name!r}: uninstall one of them")
            found[spec.name] = spec
    return dict(sorted(found.items()))


def trainable_named(name: str) -> TrainableSpec[Any]:
    """The spec of a trainable.

    Raises:
        ConfigError: no installed labeler trains it.
    """
    known = installed_trainables()
    if name not in known:
        nearest = nearest_name(name, known)
        hint = "." if nearest is None else f"; did you mean {nearest!r}?"
        raise ConfigError(f"no installed labeler trains {name!r}{hint} There are {', '.join(known) or 'none'}")
    return known[name]


def shipped_training_configs() -> list[str]:
    """Names of the configurations of training that ship with the installed labelers, sorted."""
    return sorted(_shipped())


def load_training_config(name_or_file: str, overrides: Iterable[str] = ()) -> TrainingSettings:
    """A validated configuration, in the model of the trainable that it names.

    Args:
        name_or_file: a name from `shipped_training_configs()`, or a YAML file.
        overrides: texts such as "optimisation.steps=200"; the value is read as YAML.

    Raises:
        ConfigError: no such configuration, base or trainable, no valid YAML, an unknown key or a value out of range.
    """
    return training_settings(overridden(_values(name_or_file), overrides), source=name_or_file)


def training_settings(values: dict[str, Any], *, source: str) -> TrainingSettings:
    """The settings that some values make, in the model of the trainable that they name.

    Raises:
        ConfigError: see `load_training_config`.
    """
    if "trainable" not in values:
        known = ", ".join(shipped_training_configs()) or "none"
        raise ConfigError(f"{source}: no trainable: name one, or as the base a configuration that trains: {known}")
    try:
        spec = trainable_named(str(values["trainable"]))
    except ConfigError as error:
        raise ConfigError(f"{source}: trainable: {error}") from error
    return validated(spec.settings, values, source=source)


def _values(name_or_file: str) -> dict[str, Any]:
    known = _shipped()
    if name_or_file in known:
        text = known[name_or_file].read_bytes()
    else:
        text = content(name_or_file, shipped_training_configs())
    values = parse_yaml(text, source=name_or_file)
    base = values.pop("base", None)
    if base is None:
        return values
    if base not in known or base == name_or_file:
        raise ConfigError(f"{name_or_file}: base: no configuration {base!r}: give one of {', '.join(sorted(known))}")
    return merged(_values(base), values)


@cache
def _shipped() -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    for spec in installed_trainables().values():
        folder = resources.files(spec.settings.__module__.rpartition(".")[0]) / "configs" / "training"
        for entry in (one for one in folder.iterdir() if one.name.endswith(".yaml")) if folder.is_dir() else ():
            name = entry.name.removesuffix(".yaml")
            if str(found.setdefault(name, entry)) != str(entry):  # trainables of one labeler share a folder
                raise ConfigError(f"two installed labelers ship a configuration of training {name!r}: uninstall one")
    return found
