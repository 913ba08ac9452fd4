"""Settings: validated, frozen, unknown keys refused with the nearest known one.

A configuration is a YAML file, or the name of one that ships with the package; `--set a.b=c` overrides single values.
"""

import difflib
import hashlib
import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vsrd_ray.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
Triple = tuple[float, float, float]
Pair = tuple[float, float]


class Settings(BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GroupingSettings(Settings):
    """Which frames are seen together: in VSRD's groups (R50-N16-M128-B16), or in windows over the scene's instances."""

    kind: Literal["vsrd", "scene"] = "vsrd"  # groups around target frames (published), or each instance fitted once
    min_shared: Share = 0.5  # share of the target's instances that a source frame must show
    num_sources: PositiveCount = 16  # source frames of a group; fewer candidates make no target
    min_area: PositiveCount = 128  # px of mask for an instance to count in a frame
    min_box_side: Count = 16  # px of the smaller side of its mask box
    num_views: PositiveCount = 24  # scene: views of an instance at most
    window_instances: PositiveCount = 6  # scene: instances that are fitted together at most
    min_view_side: Count = 10  # scene: px of the smaller side of a mask box for a view to be of use

    @property
    def name(self) -> str:
        """The published tools' name of these settings."""
        share, sources = round(100 * self.min_shared), self.num_sources
        return f"R{share}-N{sources}-M{self.min_area}-B{self.min_box_side}"


class MaskSettings(Settings):
    """From instance masks to soft silhouettes."""

    refine: bool = True  # keep the largest outer contour, filled
    min_source_area: PositiveCount = 1  # px of refined mask for an instance to be visible in a source frame
    min_target_area: PositiveCount = 128  # px of refined mask for an instance of the target frame to be fitted
    min_target_side: Count = 16  # px of the smaller side of its box
    softness: Positive = 10.0  # px of signed distance over which the soft mask changes by one logistic unit
    distance: Literal["exact", "transform"] = "exact"  # to the contour's polyline, or by a distance transform
    directions: Annotated[int, Field(ge=4, multiple_of=4)] = 16  # in which outlines are measured


class BoxSettings(Settings):
    """Ranges in which boxes move, in the gravity-aligned frame at the target camera (x right, y down, z forward)."""

    location_min: Triple = (-50.0, -4.325, 0.0)  # m
    location_max: Triple = (50.0, 5.675, 100.0)  # m
    half_extents_min: Triple = (0.75, 0.75, 1.5)  # m; half of width, height, length
    half_extents_max: Triple = (1.0, 1.0, 2.5)  # m

    @model_validator(mode="after")
    def _ranges_are_not_empty(self) -> "BoxSettings":
        pairs = ((self.location_min, self.location_max), (self.half_extents_min, self.half_extents_max))
        if any(low >= high for lows, highs in pairs for low, high in zip(lows, highs, strict=True)):
            raise ValueError("every minimum must lie below its maximum")
        return self


class FieldSettings(Settings):
    """The residual distance field and the hypernetwork that makes its weights."""

    embedding_size: PositiveCount = 256
    hyper_width: PositiveCount = 256
    hyper_layers: PositiveCount = 4
    hidden_sizes: tuple[PositiveCount, ...] = (16, 16, 16, 16)
    frequencies: PositiveCount = 8  # of the positional encoding
    position_scale: Positive = 100.0  # m; positions are divided by it before they are encoded
    logit_offset: float = -1.0  # added before the sigmoid, so that the surface starts close to the box
    mirror: bool = True  # fields are symmetric about the length axis
    scale_with_box: bool = False  # a field is stretched with its box instead of staying in metres
    start: Literal["random", "car"] = "random"  # what fields look like before the first step


class RenderingSettings(Settings):
    """Volumetric silhouettes."""

    num_rays: PositiveCount = 1000  # a step, over all views
    coarse_samples: PositiveCount = 100
    fine_samples: Count = 100
    near: NonNegative = 0.0  # m
    far: Positive = 100.0  # m
    bounds_margin: NonNegative | None = None  # m; rays are sampled only between boxes enlarged by this, if given

    @model_validator(mode="after")
    def _far_is_beyond_near(self) -> "RenderingSettings":
        if self.far <= self.near:
            raise ValueError(f"far ({self.far}) must be greater than near ({self.near})")
        return self


class LossSettings(Settings):
    """Weights of the losses; 0 leaves one out."""

    silhouette: NonNegative = 1.0
    eikonal: NonNegative = 0.01  # counts only once the residual field is on
    projection: NonNegative = 1.0  # smooth L1, px
    diou: NonNegative = 0.1
    trusted_sides_only: bool = False  # projection losses skip mask-box sides at the image border or an occluder
    matching: Literal["hungarian", "identity"] = (
        "hungarian"  # of boxes to instances: on DIoU at each step, or as started
    )


class ScheduleSettings(Settings):
    """Steps, learning rates and annealing."""

    steps: PositiveCount = 3000
    residual_from: Count = 1000  # first step with the residual field
    learning_rate_location: Positive = 1e-2
    learning_rate_extent: Positive = 1e-2
    learning_rate_yaw: Positive = 1e-2
    learning_rate_embedding: Positive = 1e-3
    learning_rate_hypernetwork: Positive = 1e-4
    final_learning_rate: Share = 0.01  # share of the first rate that is left at the last step, decayed exponentially
    sigma: tuple[Positive, Positive] = (1.0, 0.1)  # m, standard deviation of the surface, first and last step; cosine
    temperature: tuple[Positive, Positive] = (1.0, 0.1)  # m, of the soft union, first and last step; cosine
    cosine_ratio: tuple[Share, Share] = (0.0, 1.0)  # first and last step; linear


class StartSettings(Settings):
    """Where the boxes start."""

    kind: Literal["flat", "hull"] = "flat"  # 50 m ahead on the axis (published), or fitted to the masks' outlines
    steps: PositiveCount = 20  # damped Gauss-Newton steps
    headings: PositiveCount = 8  # tried over the full circle; the best one is kept
    min_side: PositiveCount = 10  # px; masks less wide or high say little of where their object is
    noise: Positive = 1.5  # px to which outlines are believed, plus ...
    noise_share: NonNegative = 0.03  # ... this share of the instance's size in the view, since bodies differ
    outlier: Positive = 3.0  # residuals beyond this many of those are let go (Geman-McClure)
    clearance_weight: NonNegative = 0.4  # of a hull point where the object cannot be, against an extent as far off
    location_spread: Positive = 2.0  # m to which the first guess of a location is believed, plus ...
    location_share: NonNegative = 0.3  # ... this share of its distance


class LabelSettings(Settings):
    """From a fit to a label."""

    moving_misfit: Positive = 1.5  # a box that departs by more from its masks' outlines cannot have stood still


class VSRDConfig(Settings):
    """Everything that decides what a labelling run finds. Its hash names the run."""

    labeler: Literal["vsrd"] = "vsrd"
    seed: Count = 0
    grouping: GroupingSettings = GroupingSettings()
    masks: MaskSettings = MaskSettings()
    box: BoxSettings = BoxSettings()
    field: FieldSettings = FieldSettings()
    rendering: RenderingSettings = RenderingSettings()
    losses: LossSettings = LossSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    start: StartSettings = StartSettings()
    labels: LabelSettings = LabelSettings()

    def hash(self) -> str:
        """Hexadecimal digest (12 characters) of all values: equal for equal settings, however they were written."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def shipped_configs() -> list[str]:
    """Names of the configurations that ship with the package."""
    folder = resources.files("vsrd_ray") / "configs"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_config(name_or_file: str, overrides: Iterable[str] = ()) -> VSRDConfig:
    """A validated configuration.

    Args:
        name_or_file: a name from `shipped_configs()`, or a YAML file.
        overrides: texts such as "schedule.steps=200"; the value is read as YAML.

    Raises:
        ConfigError: no such configuration, no valid YAML, an unknown key or a value out of range.
    """
    if name_or_file in shipped_configs():
        text = (resources.files("vsrd_ray") / "configs" / f"{name_or_file}.yaml").read_text()
    elif Path(name_or_file).is_file():
        text = Path(name_or_file).read_text()
    else:
        raise ConfigError(
            f"no configuration {name_or_file!r}: give a YAML file or one of {', '.join(shipped_configs())}"
        )
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{name_or_file}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{name_or_file}: expected keys and values, got {type(values).__name__}")
    for override in overrides:
        _override(values, override)
    try:
        return VSRDConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{name_or_file}: {'; '.join(map(_explain, error.errors()))}") from error


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines such as "schedule.steps: 100 -> 200" for every value in which two dumped configurations differ."""
    lines = []
    for key in sorted(old.keys() | new.keys()):
        a, b, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{name}.")
        elif a != b:
            lines.append(f"{name}: {a} -> {b}")
    return lines


def _override(values: dict[str, Any], override: str) -> None:
    path, separator, text = override.partition("=")
    if not separator:
        raise ConfigError(f"--set {override}: expected KEY=VALUE, such as schedule.steps=200")
    *parents, leaf = path.strip().split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override}: {parent} is a value, not a section")
    try:
        values[leaf] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: {text!r} is not valid YAML") from error


def _explain(error: Any) -> str:
    location = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        given = "" if isinstance(error["input"], dict) else f" (got {error['input']!r})"
        return f"{location or 'configuration'}: {error['msg']}{given}"
    *parents, key = (str(part) for part in error["loc"])
    model: Any = VSRDConfig
    for parent in parents:
        model = model.model_fields[parent].annotation
    nearest = difflib.get_close_matches(key, model.model_fields, n=1, cutoff=0.0)
    return f"unknown key {location!r}; did you mean {'.'.join([*parents, *nearest])!r}?"
