"""Settings: validated, frozen models whose unknown keys are refused with the nearest known one.

This module knows no labeler: each brings a model of its own, a subclass of `LabelerSettings`.
"""

import hashlib
import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vsrd_ray.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
Triple = tuple[float, float, float]


class Settings(BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelerSettings(Settings):
    """Everything that decides what a labelling run finds. Its hash names the run."""

    labeler: str  # name of the folder, or of the entry point, of the labeler
    seed: Count = 0

    def hash(self) -> str:
        """Hexadecimal digest (12 characters) of all values: equal for equal settings, however they were written."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


Model = TypeVar("Model", bound=Settings)


def parse_yaml(text: str, *, source: str, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The keys and values of a YAML text, with single values overridden.

    Args:
        text: a YAML mapping.
        source: the name or file that the text is from, for errors.
        overrides: texts such as "schedule.steps=200"; the value is read as YAML.

    Raises:
        ConfigError: no valid YAML, no mapping, or an override that is not KEY=VALUE.
    """
    try:
        values: Any = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected keys and values, got {type(values).__name__}")
    settings = cast("dict[str, Any]", values)
    for override in overrides:
        _override(settings, override)
    return settings


def validated(model: type[Model], values: dict[str, Any], *, source: str) -> Model:
    """The settings that some values make.

    Raises:
        ConfigError: an unknown key, which is told with the nearest known one, or a value out of its range.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {'; '.join(_explain(model, one) for one in error.errors())}") from error


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines such as "schedule.steps: 100 -> 200" for every value in which two dumped configurations differ."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        a, b, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(cast("dict[str, Any]", a), cast("dict[str, Any]", b), f"{name}.")
        elif a != b:
            lines.append(f"{name}: {a} -> {b}")
    return lines


def _override(values: dict[str, Any], override: str) -> None:
    path, separator, text = override.partition("=")
    if not separator:
        raise ConfigError(f"--set {override}: expected KEY=VALUE, such as schedule.steps=200")
    *parents, leaf = path.strip().split(".")
    for parent in parents:
        section: Any = values.setdefault(parent, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {override}: {parent} is a value, not a section")
        values = cast("dict[str, Any]", section)
    try:
        values[leaf] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: {text!r} is not valid YAML") from error


def _explain(model: type[Settings], error: Any) -> str:
    location = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        given = "" if isinstance(error["input"], dict) else f" (got {error['input']!r})"
        return f"{location or 'configuration'}: {error['msg']}{given}"
    *parents, key = (str(part) for part in error["loc"])
    inner: Any = model
    for parent in parents:
        inner = get_args(inner)[1] if get_origin(inner) is dict else inner.model_fields[parent].annotation
    names: Iterable[str] = inner.model_fields
    nearest = get_close_matches(key, list(names), n=1, cutoff=0.0)
    return f"unknown key {location!r}; did you mean {'.'.join([*parents, *nearest])!r}?"
