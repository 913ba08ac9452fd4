"""What the house knows of the labeler of points: what it needs, and how it plans."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.data.drive import IMAGES, MASKS, POINTS, Drive
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.data.index import readable_frames
from vsrd_ray.datasets.base import dataset_named
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.base import Labeler, LabelerSpec, Needs, Resources, Wanted
from vsrd_ray.labelers.points.config import PointsConfig
from vsrd_ray.labels.base import Importer
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.runs.lock import locked
from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)

_PAYLOAD_BYTES = 2**23  # 120,000 points in float64, with what masks say of those in view
_IMAGES_BYTES = 6 * 2**23  # of six cameras, decoded, with given masks and pixels to ask about
_GROUPS_A_GPU = 4  # so that the device sees images while others are painted


@dataclass(frozen=True, kw_only=True)
class PointsPlan(GroupPlan):
    """A frame whose sweeps are labelled."""

    classes: tuple[str, ...]  # of the dataset, that are labelled; all that points can have if empty
    sweeps: tuple[tuple[str, tuple[int, ...]], ...] = ()  # frames by LiDAR that prompt SAM, the labelled one first

    @property
    def read_frames(self) -> tuple[int, ...]:
        """See `GroupPlan`."""
        return (*super().read_frames, *(frame for _, frames in self.sweeps for frame in frames))


def points_plan(plan: GroupPlan) -> PointsPlan:
    """The same plan, which is one of points.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(plan, PointsPlan):
        raise TypeError(f"group {plan.group_id} is not planned around sweeps: expected PointsPlan")
    return plan


def _needs(config: PointsConfig) -> Needs:
    """Points alone: an index need not decode masks, of which a frame may lack some."""
    return Needs(layers=(POINTS,), all_cameras=True, mask_ids=False)


def _plan(drive: Drive, index: pa.Table, config: PointsConfig, wanted: Wanted) -> list[PointsPlan]:
    """One group for each frame that has a sweep, its pose, and a mask or, for a segmenter, an image of any camera."""
    if config.segmenter and MASKS in drive.sources:
        raise InputError("masks are given, and a segmenter: leave --masks or the setting segmenter out")
    layer = IMAGES if config.segmenter else MASKS
    cameras = {
        name: {frame for frame in drive.frames_with(layer, name) if frame in camera.T_world_cam}
        for name, camera in drive.cameras.items()
    }
    if not any(cameras.values()):
        missing = dataset_named(drive.dataset).missing(drive.root, drive.name, layer, drive.camera.name)
        hint = "" if config.segmenter else "; or a segmenter of yours finds masks: --set segmenter=FOLDER"
        raise InputError(f"{missing}{hint}")
    for name, frames in cameras.items():
        if not frames and drive.frames_with(IMAGES, name):
            logger.warning("%s: no masks of %s: its points get no labels.", drive.name, name)
    masked = set[int]().union(*cameras.values())
    frames = [frame for frame in readable_frames(index) if frame in masked and _has_sweep(drive, frame)]
    around = _sweeps(drive, frames) if config.sam else {}
    return [
        PointsPlan(
            group_id=f"{drive.name}-{frame:010d}",
            sequence=drive.name,
            camera=drive.camera.name,
            target_frame=frame,
            source_frames=(),
            label_frames=(frame,),
            classes=wanted.classes,
            sweeps=tuple(around.get(frame, ())),
        )
        for frame in frames
    ]


def _sweeps(drive: Drive, frames: Sequence[int]) -> dict[int, list[tuple[str, tuple[int, ...]]]]:
    """The sweeps of each LiDAR around each frame."""
    from vsrd_ray.labelers.points.prompts import sweeps_around  # noqa: PLC0415 - with NumPy

    found: dict[int, list[tuple[str, tuple[int, ...]]]] = {}
    for name, lidar in drive.lidars.items():
        own = [frame for frame in drive.frames_with(POINTS, name) if frame in lidar.T_world_lidar]
        place_of = {frame: place for place, frame in enumerate(own)}
        for frame in frames:
            if (place := place_of.get(frame)) is not None:
                around = tuple(own[one] for one in sweeps_around(len(own), place))
                found.setdefault(frame, []).append((name, around))
    return found


def _has_sweep(drive: Drive, frame: int) -> bool:
    return any(frame in lidar.T_world_lidar and drive.has(POINTS, name, frame) for name, lidar in drive.lidars.items())


def _check(config: PointsConfig, wanted: Wanted, classes: ClassTable) -> None:
    from vsrd_ray.labels.points.classes import NAMES, class_named  # noqa: PLC0415 - with NumPy

    for name in wanted.classes:
        if class_named(name) is None:
            raise InputError(f"--classes: points have no class for {name!r}: give some of {', '.join(NAMES)}")
    if config.models:
        _check_models(config, wanted)


def _check_models(config: PointsConfig, wanted: Wanted) -> None:
    from vsrd_ray.labelers.points.images import wanted_names  # noqa: PLC0415 - torch takes two seconds
    from vsrd_ray.perception.loading import SEGMENTERS, check_folder, labels_of  # noqa: PLC0415
    from vsrd_ray.perception.sam import check_point_segmenter  # noqa: PLC0415

    if config.sam:
        check_point_segmenter(config.sam)
    if config.segmenter:
        check_folder(config.segmenter, SEGMENTERS)
        wanted_names(config, labels_of(config.segmenter), wanted.classes)


def _why_no_group(index: pa.Table, config: PointsConfig, wanted: Wanted) -> str:
    return "no frame has both a sweep with a pose and a mask of any camera"


def _build(config: PointsConfig, device: str) -> Labeler:
    from vsrd_ray.labelers.points.labeler import PointsLabeler  # noqa: PLC0415 - scipy

    return PointsLabeler(config, device)


def _resources(config: PointsConfig) -> Resources:
    if config.models:
        return Resources(payload_bytes=_PAYLOAD_BYTES + _IMAGES_BYTES, gpu_batch=_GROUPS_A_GPU)
    return Resources(payload_bytes=_PAYLOAD_BYTES)


def _read_corrections(run: RunFolder, source: Location, options: Mapping[str, Any]) -> list[str]:
    from vsrd_ray.labelers.points.corrections import import_points  # noqa: PLC0415 - scipy
    from vsrd_ray.options import progress_bar  # noqa: PLC0415 - click

    if not isinstance(source, Path):
        raise InputError(f"{source}: give a local folder")
    with locked(run.output):
        found = import_points(run, source, progress_bar("drive"))
    return [f"{found.sweeps} sweeps imported, {found.points} points changed"]


def _undo_corrections(output: Location) -> str:
    from vsrd_ray.labelers.points.corrections import undo_imports  # noqa: PLC0415 - scipy

    with locked(output):
        return f"{undo_imports(output)} files of corrected labels removed"


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
    importer=Importer(_read_corrections, _undo_corrections),
)
