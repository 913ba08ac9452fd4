"""Settings: validated, frozen models whose unknown keys are refused with the nearest known one.

This module knows no labeler: each brings a model of its own, a subclass of `LabelerSettings`.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from reprlib import Repr
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from vsrd_ray.errors import ConfigError, nearest_name, one_line

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
PositiveCount = Annotated[int, Field(ge=1, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Triple = tuple[float, float, float]

_LEAST, _LARGEST = 1e-37, 1e38  # what single precision holds with all its digits
MAX_BYTES = 100_000  # of a configuration; those that ship have some thousands
_MAX_NODES = 10_000  # of a YAML text, with what its aliases repeat
_MAX_DEPTH = 50  # of brackets
_MAX_FAULTS = 5  # that are told at once
_MAX_LETTERS = 200  # of what is repeated in an error
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 80


class Settings(BaseModel):
    """Base of all settings. No number may be NaN or infinite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_answer_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse yes and no, which count as 1 and 0 otherwise, where they are not asked for."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and bool not in {annotation, *get_args(annotation)}:
            raise ValueError("expected another value than yes or no")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _within_single_precision(cls, value: Any) -> Any:
        """Refuse numbers that are 0 or infinite where labelers calculate."""
        numbers: list[Any] = [*cast("tuple[Any, ...]", value)] if isinstance(value, tuple) else [value]
        if any(isinstance(one, float) and one and not _LEAST <= abs(one) <= _LARGEST for one in numbers):
            raise ValueError(f"expected 0, or numbers from {_LEAST:.0e} to {_LARGEST:.0e} in size")
        return cast("Any", value)


class LabelerSettings(Settings):
    """Everything that decides what a labelling run finds. Its hash names the run."""

    labeler: str  # name of the folder, or of the entry point, of the labeler
    seed: Seed = 0

    @property
    def in_words(self) -> str:
        """How labels come about, in half a sentence for the first line of a run; empty where there is no choice."""
        return ""

    def hash(self) -> str:
        """Hexadecimal digest (12 characters) of all values: equal for equal settings, however they were written."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


Model = TypeVar("Model", bound=Settings)


class _Loader(yaml.SafeLoader):
    """Reads YAML whose keys stand once, and whose aliases do not make much of little."""

    def __init__(self, text: bytes | str) -> None:
        super().__init__(text)
        self._num_nodes = 0
        self._sizes: dict[int, int] = {}  # nodes below each node, itself included; one under way has none yet

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        scanner = cast(Any, super())
        if self.flow_level > _MAX_DEPTH:  # what is below would be looked at again for each of them
            raise yaml.MarkedYAMLError(problem=f"more than {_MAX_DEPTH} brackets deep", problem_mark=scanner.get_mark())
        scanner.fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: Any, index: Any) -> Any:
        is_alias: bool = cast(Any, self).check_event(yaml.AliasEvent)
        before = self._num_nodes
        node = super().compose_node(parent, index)
        self._num_nodes += self._sizes.get(id(node), _MAX_NODES) if is_alias else 1
        if self._num_nodes > _MAX_NODES:
            raise yaml.MarkedYAMLError(problem=f"more than {_MAX_NODES:,} values")
        self._sizes.setdefault(id(node), self._num_nodes - before)
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen = set[tuple[str, str]]()
        for key, _ in node.value:
            name = key.tag, str(key.value)
            if name in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(name)
        return node


def parse_yaml(text: bytes, *, source: str) -> dict[str, Any]:
    """The keys and values of a YAML text; none of an empty one.

    Args:
        text: a YAML mapping, in UTF-8 or another encoding of Unicode that begins with its mark.
        source: the name or file that the text is from, for errors.

    Raises:
        ConfigError: no valid YAML, one whose keys stand twice, or no mapping.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{source}: larger than {MAX_BYTES:,} bytes: give a configuration, a YAML file")
    try:
        values: Any = _load_yaml(text)
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{source}: no text in UTF-8 ({one_line(error)}): save it as UTF-8") from error
    except _YAML_ERRORS as error:
        raise ConfigError(f"{source}: not valid YAML: {_reason(error)}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected keys and values, got {type(values).__name__}")
    return cast("dict[str, Any]", values)


def overridden(values: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Values with single ones changed.

    Args:
        values: keys and values, sections within sections.
        overrides: texts such as "schedule.steps=200"; the value is read as YAML.

    Raises:
        ConfigError: one that is not KEY=VALUE, or whose key is below a value.
    """
    for override in overrides:
        path, separator, text = override.partition("=")
        parts = [part.strip() for part in path.split(".")]
        shown = _line(override)
        if not separator or not all(parts):
            raise ConfigError(f"--set {shown}: expected KEY=VALUE, such as schedule.steps=200")
        try:
            change = _load_yaml(text)
        except _YAML_ERRORS as error:
            reason = f"{_repr(text)} is not valid YAML ({_reason(error)})"
            raise ConfigError(f"--set {shown}: {reason}") from error
        values = _with(values, parts, change, shown=shown)
    return values


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Values with changes laid over them, section by section; a section of changes without content changes nothing."""
    result = dict(values)
    for key, change in changes.items():
        before = values.get(key)
        if not isinstance(before, dict):
            result[key] = change
        elif change is not None:
            section = cast("dict[str, Any]", before)
            result[key] = merged(section, cast("dict[str, Any]", change)) if isinstance(change, dict) else change
    return result


def validated(model: type[Model], values: dict[str, Any], *, source: str) -> Model:
    """The settings that some values make.

    Raises:
        ConfigError: an unknown key, which is told with the nearest known one, or a value out of its range.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        faults = [_explain(model, one) for one in errors[:_MAX_FAULTS]]
        if len(errors) > _MAX_FAULTS:
            faults.append(f"and {len(errors) - _MAX_FAULTS} more")
        raise ConfigError(f"{source}: {'; '.join(faults)}") from error


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


# What PyYAML raises, beside its own errors, for values that it cannot make: a 13th month, no digits, endless nesting.
_YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)


def _load_yaml(text: bytes | str) -> Any:
    loader: Any = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) if isinstance(error, yaml.YAMLError) else one_line(error)


def _repr(value: Any) -> str:
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python does not write out what has thousands of digits
        return "an endless number"


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LETTERS else f"{line[:_MAX_LETTERS]}…"


def _with(values: dict[str, Any], parts: list[str], change: Any, *, shown: str) -> dict[str, Any]:
    """The values with one changed, whose path is given by its parts."""
    first, *rest = parts
    if rest:
        section: Any = values.get(first, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {shown}: {first} is a value, not a section")
        change = _with(cast("dict[str, Any]", section), rest, change, shown=shown)
    return {**values, first: change}


def _explain(model: type[Settings], error: Any) -> str:
    location = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        given = "" if isinstance(error["input"], dict) else f" (got {_repr(error['input'])})"
        return f"{location or 'configuration'}: {error['msg']}{given}"
    *parents, key = (str(part) for part in error["loc"])
    meant = [path for path in _paths(model) if path.rpartition(".")[2] == key.casefold()]
    names = _names(model, parents)
    if not meant and (nearest := nearest_name(key, names)) is not None:
        meant = [".".join([*parents, nearest])]
    hint = f"did you mean {' or '.join(map(repr, meant))}?" if meant else f"there are {', '.join(names) or 'none'}"
    return f"unknown key {location!r}; {hint}"


def _names(model: Any, parents: Iterable[str]) -> list[str]:
    """Names of the settings in a section of a model; none where a section is made otherwise."""
    for parent in parents:
        if get_origin(model) is dict:
            model = get_args(model)[1]
        else:
            field = getattr(model, "model_fields", {}).get(parent)
            model = None if field is None else field.annotation
    return list(getattr(model, "model_fields", ()))


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Paths of all settings below a model, but for those below names that the user chooses."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _paths(field.annotation, f"{prefix}{name}.")
