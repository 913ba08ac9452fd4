"""The settings of the labeler of occupancy."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from vsrd_ray.errors import InputError
from vsrd_ray.labelers.occupancy.earlier import with_run_digest
from vsrd_ray.perception.weights import digest
from vsrd_ray.settings import Count, LabelerSettings, NonNegative, Positive, PositiveCount, Share
from vsrd_ray.training.digests import with_digest

Six = tuple[float, float, float, float, float, float]


class OccupancyConfig(LabelerSettings):
    """Everything that decides how voxels are labelled."""

    labeler: Literal["occupancy"] = "occupancy"  # pyright: ignore[reportIncompatibleVariableOverride] - settings are frozen
    source: Literal["rays", "network"] = "rays"  # rays of pixels and LiDAR, or a trained network that sees images alone
    checkpoint: str = ""  # of the network: folder of a run of `vsrd-ray train`, or a file
    weights: str = ""  # digest of the checkpoint; found out, and checked where it is given
    threshold: Share = 0.06  # opacity along one side from which on the network's voxels are occupied
    grid: Literal["occ3d", "sscbench", "own"] = "occ3d"
    range: Six | None = None  # m, lowest x, y, z and highest, of the grid `own`, whose frame is that of occ3d
    voxel_size: Positive | None = None  # m, of the grid `own`
    classes: Literal["occ3d", "sscbench"] | None = None  # table; None: the grid's, of `own` Occ3D's
    lidar_height: Positive = 1.73  # m of the LiDAR above the road, which is z = 0 of occ3d
    lidar_forward: float = 0.0  # m of the LiDAR ahead of the grid's origin: 0.94 of nuScenes' cars
    camera_height: Positive = 1.55  # m of the first camera above it, where there is no LiDAR
    every: PositiveCount = 5  # frames from one target to the next
    sources: Count = 1  # frames on each side of a target that are looked at too
    apart: PositiveCount = 5  # frames between them, of those that have classes
    depth: Literal["auto", "lidar", "maps"] = "auto"  # auto: all that there is
    uncurl: bool = False  # whether sweeps, which turn while the vehicle moves, are set right: true of KITTI-360's
    error: NonNegative | None = None  # of depth maps, as a share; None: as LiDAR tells, or 0.05 without
    ends: Literal["counted", "expected"] = "counted"  # of rays with uncertain depth: smoothed and counted, or by EM
    closed: bool = True  # whether vehicles get the roofs and floors that rays graze
    rays_a_view: PositiveCount = 50_000
    depth_run: str = ""  # output folder of a run of depth maps, as by density, in place of the dataset's maps
    depth_run_labels: str = ""  # digest of its labels; found out, and checked where it is given
    segmenter: str = ""  # folder of weights of a segmenter, which finds classes in images; "": the dataset's class maps
    segmenter_weights: str = ""  # digest of it; found out, and checked where it is given
    names: dict[str, str] = Field(default_factory=dict)  # the segmenter's name of a class -> Cityscapes', where other
    boxes: str = ""  # output folder of a run of boxes, by which moving things of source frames are carried on
    boxes_labels: str = ""  # digest of its labels; found out, and checked where it is given
    majority: bool = False  # whether a pixel takes the class of most of its 3 x 3 neighbours

    @model_validator(mode="before")
    @classmethod
    def _with_digest(cls, values: dict[str, object]) -> dict[str, object]:
        """Know weights and labels by their content: what has changed makes another run."""
        values = with_run_digest(with_digest(values), "boxes", "boxes_labels")
        return _with_segmenter(with_run_digest(values, "depth_run", "depth_run_labels"))

    @model_validator(mode="after")
    def _network_has_weights(self) -> "OccupancyConfig":
        if self.source == "rays" and self.checkpoint:
            raise ValueError("rays have no checkpoint: set source=network, or leave it out")
        if self.source == "network" and (given := self.given):
            raise ValueError(f"a network sees images of one time alone: leave {given[0]} out, or source=network")
        if self.source == "network" and not self.checkpoint:
            raise ValueError("source=network needs checkpoint: a run of `vsrd-ray train`, or a file of weights")
        return self

    @model_validator(mode="after")
    def _own_grid_is_whole(self) -> "OccupancyConfig":
        if (self.grid == "own") != (self.range is not None and self.voxel_size is not None):
            raise ValueError("grid own needs range and voxel_size, and no other grid has them")
        return self

    @property
    def given(self) -> list[str]:
        """Settings that name what comes from elsewhere in place of the dataset's own, or beside it."""
        return [name for name in ("boxes", "depth_run", "segmenter") if getattr(self, name)]

    @model_validator(mode="after")
    def _depth_is_used(self) -> "OccupancyConfig":
        if self.depth_run and self.depth == "lidar":
            raise ValueError("depth=lidar leaves all maps out: leave depth_run out, or set depth=auto or maps")
        if self.names and not self.segmenter:
            raise ValueError("names are those of a segmenter: give one, or leave them out")
        return self

    @property
    def table(self) -> str:
        """Name of the class table."""
        return self.classes or ("sscbench" if self.grid == "sscbench" else "occ3d")

    @property
    def in_words(self) -> str:
        """Which grid, and what ends rays."""
        if self.source == "network":
            return f"voxels of the grid {self.grid} by the network of {self.checkpoint}"
        ends = "counted" if self.ends == "counted" else "expected"
        return f"voxels of the grid {self.grid} from depth and classes of images, ends of rays {ends}"


def _with_segmenter(values: dict[str, object]) -> dict[str, object]:
    """Values with the digest of the segmenter's weights."""
    if not values.get("segmenter"):
        return values
    folder, known = Path(str(values["segmenter"])), values.get("segmenter_weights")
    if known and not folder.exists():
        return values  # of a run that is looked at where its weights are not
    try:
        found = digest(folder)
    except InputError as error:
        raise ValueError(str(error)) from error
    if known not in (None, "", found):
        raise ValueError(f"the weights in {folder} are not those of before")
    return values | {"segmenter_weights": found}
