"""What a built-in street is made of."""

import difflib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from vsrd_ray.settings import Count, NonNegative, Positive, PositiveCount, Settings, Share

MAX_INSTANCES = 999  # an instance id is semantic id * 1000 + instance id
FRAME_PERIOD = 0.1  # s between frames
LAYERS = ("depth", "lidar", "semantics", "panoptic", "occupancy", "right", "fisheye", "surround")
Side = Annotated[int, Field(ge=32, le=8192)]
Layer = Literal["depth", "lidar", "semantics", "panoptic", "occupancy", "right", "fisheye", "surround"]


class StreetSettings(Settings):
    """A street, the vehicles on it and the drive through it. Equal settings make equal bytes."""

    frames: PositiveCount = 60
    cars: Count = 12  # parked
    moving: Count = 0  # cars that drive, in addition to the parked ones
    trucks: Count = 0  # parked
    buses: Count = 0  # parked
    caravans: Count = 0  # parked
    trailers: Count = 0  # parked
    shapes: Literal["usual", "measured"] = "usual"  # of cars; measured: outlines and sizes vary as real ones do
    seed: Count = 0
    image_size: tuple[Side, Side] = (1408, 376)  # (width, height), px
    mask_noise: Annotated[float, Field(ge=0, le=10)] = (
        1.0  # px, root mean square shift of mask outlines along each axis
    )
    frame_spacing: Positive = 0.9  # m of road between frames
    sequence: Annotated[str, Field(pattern=r"^2013_05_28_drive_\d{4}_sync$")] = "2013_05_28_drive_0000_sync"
    layers: tuple[Layer, ...] = ()  # in addition to images, masks, poses and boxes; none changes another's bytes
    texture: Literal["plain", "rich"] = "plain"  # rich: fine enough on every surface for photometric matching
    exact_depth: bool = False  # beside 16-bit depth maps, float32 ones
    lidar_rings: Annotated[int, Field(ge=2, le=128)] = 64
    lidar_columns: Annotated[int, Field(ge=16, le=4096)] = 2048  # of one turn
    lidar_noise: NonNegative = 0.02  # m, standard deviation of ranges
    lidar_dropout: Share = 0.04  # share of returns lost at right angles nearby; it grows with range and slant
    lidar_range: Positive = 100.0  # m
    lidar_motion: bool = False  # the car moves while the sensor turns, and points are not corrected for it
    lidar_delay: Annotated[float, Field(ge=-0.05, le=0.05)] = 0.0  # s from the image to the middle of the sweep
    occupancy_grid: Literal["occ3d", "sscbench"] = "occ3d"
    fisheye_side: Side = 448  # px
    surround_size: tuple[Side, Side] = (416, 234)  # (width, height), px
    keyframe_every: PositiveCount = 5  # frames; the others are sweeps of the nuScenes layout

    @field_validator("layers", mode="before")
    @classmethod
    def _known_layers(cls, layers: Any) -> Any:
        return tuple(_ordered(layers)) if isinstance(layers, Iterable) else layers

    @model_validator(mode="after")
    def _instances_fit_their_ids(self) -> "StreetSettings":
        counts = {
            "cars + moving": self.cars + self.moving,
            "trucks": self.trucks,
            "buses": self.buses,
            "caravans": self.caravans,
            "trailers": self.trailers,
        }
        for name, count in counts.items():
            if count > MAX_INSTANCES:
                raise ValueError(f"{name} must be at most {MAX_INSTANCES}, got {count}")
        return self

    @property
    def others(self) -> dict[str, int]:
        """Numbers of parked vehicles other than cars, by class."""
        return {"truck": self.trucks, "bus": self.buses, "caravan": self.caravans, "trailer": self.trailers}

    @property
    def drive_length(self) -> float:
        """Metres of road between the first and the last camera."""
        return (self.frames - 1) * self.frame_spacing

    def has(self, layer: Layer) -> bool:
        """Whether the street is written with a layer."""
        return layer in self.layers


def _ordered(names: Iterable[str]) -> list[str]:
    """Layers in their own order, each once; "all" is all of them, and panoptic truth needs the points it labels."""
    given = set(names)
    if "all" in given:
        return list(LAYERS)
    for name in sorted(given - set(LAYERS)):
        nearest = difflib.get_close_matches(name, [*LAYERS, "all"], n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown layer {name!r}; did you mean {nearest!r}? Layers: {', '.join(LAYERS)}, all")
    if "panoptic" in given:
        given.add("lidar")
    return [layer for layer in LAYERS if layer in given]
