"""The settings of VSRD: what decides which boxes a run finds."""

from typing import Any, Literal

from pydantic import field_validator, model_validator

from vsrd_ray.labels.boxes.criteria import MIN_MASK_AREA
from vsrd_ray.settings import (
    Count,
    LabelerSettings,
    NonNegative,
    Positive,
    PositiveCount,
    Settings,
    Share,
    Triple,
)


class GroupingSettings(Settings):
    """Which frames are seen together: VSRD's groups (R50-N16-M128-B16), or stretches of the scene's instances."""

    kind: Literal["vsrd", "scene"] = "vsrd"  # groups around target frames (published), or each instance fitted once
    min_shared: Share = 0.5  # share of the target's instances that a source frame must show
    num_sources: PositiveCount = 16  # source frames of a group; fewer candidates make no target
    min_area: PositiveCount = MIN_MASK_AREA  # px of mask for an instance to count in a frame
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
    min_target_area: PositiveCount = MIN_MASK_AREA  # px of refined mask to be fitted, of the target frame's instances
    min_target_side: Count = 16  # px of the smaller side of its box
    softness: Positive = 10.0  # px of signed distance over which the soft mask changes by one logistic unit
    distance: Literal["exact", "transform"] = "exact"  # to the contour's polyline, or by a distance transform


def _check_range(lows: Triple, highs: Triple) -> None:
    if any(low >= high for low, high in zip(lows, highs, strict=True)):
        raise ValueError("every minimum must lie below its maximum")


class SizeSettings(Settings):
    """How large the boxes of a class are: half of width, height and length, metres."""

    half_extents_min: Triple
    half_extents_max: Triple
    half_extents_mean: Triple  # what is expected of an object that shows too little to measure, and ...
    half_extents_spread: Triple  # ... by how much objects differ from it (standard deviation)
    body: str = "car"  # the shape prior: one that ships (car, box), or a file of `vsrd-ray train-prior`

    @model_validator(mode="after")
    def _ranges_are_not_empty(self) -> "SizeSettings":
        _check_range(self.half_extents_min, self.half_extents_max)
        if min(self.half_extents_min + self.half_extents_spread) <= 0:
            raise ValueError("extents and spreads must be greater than 0")
        inside = zip(self.half_extents_min, self.half_extents_mean, self.half_extents_max, strict=True)
        if any(not low <= mean <= high for low, mean, high in inside):
            raise ValueError("every mean must lie between its minimum and its maximum")
        return self


def _size(low: Triple, high: Triple, mean: Triple, spread: Triple, body: str = "box") -> SizeSettings:
    return SizeSettings(
        half_extents_min=low, half_extents_max=high, half_extents_mean=mean, half_extents_spread=spread, body=body
    )


# Cars as published; the others' are the usual dimensions on European roads.
_SIZES = {
    "car": _size((0.75, 0.75, 1.5), (1.0, 1.0, 2.5), (0.87, 0.77, 2.1), (0.06, 0.07, 0.25), "car"),
    "truck": _size((0.85, 0.9, 2.3), (1.35, 2.1, 7.0), (1.18, 1.55, 3.9), (0.1, 0.25, 0.8)),
    "bus": _size((1.0, 1.2, 3.0), (1.4, 2.2, 9.5), (1.26, 1.55, 5.6), (0.06, 0.12, 0.8)),
    "caravan": _size((0.8, 0.9, 1.8), (1.35, 1.7, 4.5), (1.13, 1.3, 3.1), (0.1, 0.1, 0.45)),
    "trailer": _size((0.5, 0.35, 0.9), (1.35, 2.1, 7.0), (0.95, 0.85, 2.1), (0.22, 0.35, 0.6)),
}


class BoxSettings(Settings):
    """Where boxes can be, in the gravity-aligned frame at the target camera (x right, y down, z forward); their sizes.

    `sizes` are by class; classes and values that are not given keep their defaults.
    """

    location_min: Triple = (-50.0, -4.325, 0.0)  # m
    location_max: Triple = (50.0, 5.675, 100.0)  # m
    sizes: dict[str, SizeSettings] = _SIZES

    @field_validator("sizes", mode="before")
    @classmethod
    def _over_the_defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        sizes: dict[str, Any] = {name: size.model_dump() for name, size in _SIZES.items()}
        for name, size in given.items():
            sizes[name] = {**sizes.get(name, {}), **size} if isinstance(size, dict) else size
        return sizes

    @model_validator(mode="after")
    def _ranges_are_not_empty(self) -> "BoxSettings":
        _check_range(self.location_min, self.location_max)
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
    start: Literal["random", "body"] = "random"  # what fields look like before the first step


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
    matching: Literal["hungarian", "identity"] = (
        "hungarian"  # of boxes to instances: on DIoU at each step, or as started
    )


class ScheduleSettings(Settings):
    """Steps, learning rates and annealing of the volumetric optimisation."""

    steps: Count = 3000  # 0 leaves the boxes where they start
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
    """Where the boxes start: flat, or at a fit of bodies to the masks' outlines.

    Such a fit has two stages of damped Gauss-Newton steps from several headings: the first holds the extents of a
    body's hull against those of the masks in a few directions, the second the body's exact silhouette against points
    of the masks' contours.
    """

    kind: Literal["flat", "body"] = "flat"  # 50 m ahead on the axis (published), or fitted
    headings: PositiveCount = 8  # tried over the full circle; the best one is kept
    min_side: PositiveCount = 10  # px; masks less wide or high say little of where their object is
    outlier: Positive = 3.0  # departures beyond this many times their noise are let go (Geman-McClure)
    clearance_weight: NonNegative = 0.4  # of a body's point where the object cannot be, against an extent as far off
    location_spread: Positive = 2.0  # m to which the first guess of a location is believed, plus ...
    location_share: NonNegative = 0.3  # ... this share of its distance
    extent_steps: PositiveCount = 20
    extent_noise: Positive = 1.5  # px to which extents are believed, plus ...
    extent_noise_share: NonNegative = 0.03  # ... this share of the instance's size in the view
    contour_steps: Count = 20
    contour_points: PositiveCount = 48  # of each mask
    contour_noise: Positive = 1.0  # px, plus ...
    contour_noise_share: NonNegative = 0.005  # ... this share
    inset_spread: Positive = 1.0  # px by which the masks of an instance may be too small, or too large, all around
    hidden_weight: NonNegative = 0.1  # of contour points that something hides, which a body may only reach beyond


class MotionSettings(Settings):
    """Bodies that move: which are tried, and when they are believed to."""

    fit: bool = False  # whether bodies may move, where no volumetric steps follow: those know none that do
    knot_seconds: Positive = 1.5  # between knots of speed, curvature and slope
    min_misfit: NonNegative = 0.5  # of a standing body, from which on a moving one is tried
    max_misfit: Positive = 0.8  # of the moving body, beyond which it explains nothing
    min_gain: Positive = 20.0  # by which it must cost less, and ...
    min_ratio: Positive = 1.7  # ... how many times as much the standing one must cost
    min_way: NonNegative = 4.0  # m that it covers between its first and its last view, and ...
    min_speed: NonNegative = 0.7  # ... how far a second, m


class LabelSettings(Settings):
    """From a fit to a label."""

    moving_misfit: Positive = 0.8  # a body that is further off its masks, times what is usual, has not stood still
    moving_confidence: Share = 0.1  # at most, of one that fits no motion either; where bodies are fitted


class VSRDConfig(LabelerSettings):
    """Everything that decides what a labelling run finds. Its hash names the run."""

    labeler: Literal["vsrd"] = "vsrd"  # pyright: ignore[reportIncompatibleVariableOverride] - settings are frozen
    grouping: GroupingSettings = GroupingSettings()
    masks: MaskSettings = MaskSettings()
    box: BoxSettings = BoxSettings()
    field: FieldSettings = FieldSettings()
    rendering: RenderingSettings = RenderingSettings()
    losses: LossSettings = LossSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    start: StartSettings = StartSettings()
    motion: MotionSettings = MotionSettings()
    labels: LabelSettings = LabelSettings()

    @property
    def in_words(self) -> str:
        """What is fitted to what, and how often."""
        how = "bodies fitted to outlines" if self.start.kind == "body" else "flat boxes"
        if self.schedule.steps:
            how = f"{self.schedule.steps:,} volumetric steps from {how}"
        often = "once over the scene" if self.grouping.kind == "scene" else "in each frame group that shows it"
        return f"{how}, each instance {often}"

    @model_validator(mode="after")
    def _boxes_do_not_stay_flat(self) -> "VSRDConfig":
        if self.start.kind == "flat" and not self.schedule.steps:
            raise ValueError("schedule.steps 0 leaves boxes where they start: start.kind must be body")
        return self
