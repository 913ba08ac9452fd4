"""What the house knows of the labeler of points: what it needs, and how it plans."""

import logging
from dataclasses import dataclass

import pyarrow as pa

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.data.drive import IMAGES, MASKS, POINTS, Drive
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.data.index import readable_frames
from vsrd_ray.datasets.base import dataset_named
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.base import Labeler, LabelerSpec, Needs, Resources, Wanted
from vsrd_ray.labelers.points.config import PointsConfig

logger = logging.getLogger(__name__)

_PAYLOAD_BYTES = 2**23  # 120,000 points in float64, with what masks say of those in view


@dataclass(frozen=True, kw_only=True)
class PointsPlan(GroupPlan):
    """A frame whose sweeps are labelled."""

    classes: tuple[str, ...]  # of the dataset, that are labelled; all that points can have if empty


def _needs(config: PointsConfig) -> Needs:
    """Points alone: an index need not decode masks, of which a frame may lack some."""
    return Needs(layers=(POINTS,), all_cameras=True, mask_ids=False)


def _plan(drive: Drive, index: pa.Table, config: PointsConfig, wanted: Wanted) -> list[PointsPlan]:
    """One group for each frame that has a sweep, its pose, and a mask of any camera."""
    cameras = {
        name: set(drive.frames_with(MASKS, name)) & camera.T_world_cam.keys() for name, camera in drive.cameras.items()
    }
    if not any(cameras.values()):
        dataset = dataset_named(drive.dataset)
        raise InputError(dataset.missing(drive.root, drive.name, MASKS, drive.camera.name))
    for name, frames in cameras.items():
        if not frames and drive.frames_with(IMAGES, name):
            logger.warning("%s: no masks of %s: its points get no labels.", drive.name, name)
    masked = set[int]().union(*cameras.values())
    frames = [frame for frame in readable_frames(index) if frame in masked and _has_sweep(drive, frame)]
    return [
        PointsPlan(
            group_id=f"{drive.name}-{frame:010d}",
            sequence=drive.name,
            camera=drive.camera.name,
            target_frame=frame,
            source_frames=(),
            label_frames=(frame,),
            classes=wanted.classes,
        )
        for frame in frames
    ]


def _has_sweep(drive: Drive, frame: int) -> bool:
    return any(frame in lidar.T_world_lidar and drive.has(POINTS, name, frame) for name, lidar in drive.lidars.items())


def _check(config: PointsConfig, wanted: Wanted, classes: ClassTable) -> None:
    from vsrd_ray.labels.points.classes import NAMES, class_named  # noqa: PLC0415 - with NumPy

    for name in wanted.classes:
        if class_named(name) is None:
            raise InputError(f"--classes: points have no class for {name!r}: give some of {', '.join(NAMES)}")


def _why_no_group(index: pa.Table, config: PointsConfig, wanted: Wanted) -> str:
    return "no frame has both a sweep with a pose and a mask of any camera"


def _build(config: PointsConfig, device: str) -> Labeler:
    from vsrd_ray.labelers.points.labeler import PointsLabeler  # noqa: PLC0415 - scipy

    return PointsLabeler(config)


def _resources(config: PointsConfig) -> Resources:
    return Resources(payload_bytes=_PAYLOAD_BYTES)


SPEC = LabelerSpec(
    name="points",
    summary="instances of LiDAR points from the masks of cameras (PointSAM)",
    config=PointsConfig,
    writes=("points", "clusters"),
    needs=_needs,
    plan=_plan,
    build=_build,
    check=_check,
    why_no_group=_why_no_group,
    resources=_resources,
)
